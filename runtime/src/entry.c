/*
 * entry.c - where the kernel begins when a version is run directly: it starts itself under the
 * driver.
 *
 * The version is a shared object without interpreter, so nothing is relocated here: no global data
 * but what the instruction pointer reaches, no library, no thread-local storage, no stack
 * protector. The process execs the driver, with its own arguments and environment; the
 * environment's first entry tells the driver which file to load. Compiled freestanding, so that the
 * compiler calls no function of its own accord (see CMakeLists.txt). The driver is $KITSUNE_DRIVER
 * (not in a set-user-id program), the one named at link time, or one in PATH.
 */
#include <elf.h>
#include <stddef.h>

#include "entry_syscalls.h"

#define HIDDEN __attribute__((visibility("hidden")))
/* Linked in by kcc, otherwise driver_path.c's; never weak: nothing would relocate its address. */
extern const char kt_driver_path[] HIDDEN;

enum { ROOM = 4096 + 64 };
static const char exec_variable[] = "KITSUNE_EXEC_PATH=";

static size_t length_of(const char *s) {
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

/* The value if `entry` sets `name` ("NAME="), else NULL. */
static const char *value_of(const char *entry, const char *name) {
    while (*name)
        if (*entry++ != *name++)
            return NULL;
    return entry;
}

static const char *find(char **environment, const char *name) {
    for (; *environment; environment++) {
        const char *value = value_of(*environment, name);
        if (value)
            return value;
    }
    return NULL;
}

static void say(const char *text) {
    kt_syscall3(KT_SYS_write, 2, (long)text, (long)length_of(text));
}

static void run(const char *driver, char **argv, char **environment) {
    if (driver && *driver)
        kt_syscall3(KT_SYS_execve, (long)driver, (long)argv, (long)environment);
}

static void run_in_path(const char *path, char **argv, char **environment) {
    static const char name[] = "/kitsune-driver";
    char candidate[ROOM];
    while (path && *path) {
        size_t n = 0;
        for (; path[n] && path[n] != ':'; n++)
            if (n < sizeof candidate - sizeof name)
                candidate[n] = path[n];
        if (n > 0 && n < sizeof candidate - sizeof name && candidate[0] == '/') {
            for (size_t i = 0; i < sizeof name; i++)
                candidate[n + i] = name[i];
            run(candidate, argv, environment);
        }
        path += n + (path[n] == ':');
    }
}

HIDDEN __attribute__((used, noreturn)) void kt_entry_c(long *stack) {
    long argc = stack[0];
    char **argv = (char **)(stack + 1);
    char **environment = argv + argc + 1;
    size_t n = 0;
    while (environment[n])
        n++;
    int secure = 0;
    for (const Elf64_auxv_t *a = (const Elf64_auxv_t *)(environment + n + 1); a->a_type != AT_NULL;
         a++)
        if (a->a_type == AT_SECURE)
            secure = a->a_un.a_val != 0;

    char self[ROOM];
    size_t prefix = sizeof exec_variable - 1;
    for (size_t i = 0; i < prefix; i++)
        self[i] = exec_variable[i];
    static const char link[] = "/proc/self/exe";
    long length = kt_syscall4(KT_SYS_readlinkat, -100 /* AT_FDCWD */, (long)link,
                              (long)(self + prefix), (long)(sizeof self - prefix - 1));
    if (length <= 0) {
        say("kitsune: /proc is not mounted: the program can't find its own file\n");
        kt_syscall3(KT_SYS_exit_group, 127, 0, 0);
    }
    self[prefix + (size_t)length] = '\0';

    /* The environment with our entry in front; entries of that name from outside are dropped. */
    char *extended[n + 2];
    size_t kept = 0;
    extended[kept++] = self;
    for (size_t i = 0; i < n; i++)
        if (!value_of(environment[i], exec_variable))
            extended[kept++] = environment[i];
    extended[kept] = NULL;

    if (!secure)
        run(find(environment, "KITSUNE_DRIVER="), argv, extended);
    run(kt_driver_path, argv, extended);
    if (!secure)
        run_in_path(find(environment, "PATH="), argv, extended);
    say("kitsune: kitsune-driver was not found: set KITSUNE_DRIVER to its path or add it to "
        "PATH\n");
    kt_syscall3(KT_SYS_exit_group, 127, 0, 0);
    __builtin_unreachable();
}

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl kt_entry\n"
        ".type kt_entry, @function\n"
        "kt_entry:\n"
        "    xorl %ebp, %ebp\n"
        "    movq %rsp, %rdi\n"
        "    andq $-16, %rsp\n"
        "    call kt_entry_c\n"
        "    hlt\n"
        ".size kt_entry, .-kt_entry\n");
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl kt_entry\n"
        ".type kt_entry, %function\n"
        "kt_entry:\n"
        "    mov x29, xzr\n"
        "    mov x30, xzr\n"
        "    mov x0, sp\n"
        "    bl kt_entry_c\n"
        "    brk #0\n"
        ".size kt_entry, .-kt_entry\n");
#elif defined(__riscv)
__asm__(".text\n"
        ".globl kt_entry\n"
        ".type kt_entry, @function\n"
        "kt_entry:\n"
        "    mv a0, sp\n"
        "    andi sp, sp, -16\n"
        "    call kt_entry_c\n"
        "    ebreak\n"
        ".size kt_entry, .-kt_entry\n");
#endif
