/*
 * test_elf_file.c - the ELF reader against real, truncated and damaged files. Run under
 * AddressSanitizer: a read outside fails the test.
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf_file.h"
#include "runtime.h"

static uint8_t *file;
static size_t file_size;

/* Any shared object will do: libc is one on every machine. */
static int load_file(void **state) {
    (void)state;
    const char *const candidates[] = {"/lib/x86_64-linux-gnu/libdl.so.2",
                                      "/lib/aarch64-linux-gnu/libdl.so.2", "/usr/lib/libdl.so.2",
                                      "/lib64/libdl.so.2"};
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        FILE *f = fopen(candidates[i], "rb");
        struct stat st;
        if (!f || fstat(fileno(f), &st))
            continue;
        file_size = (size_t)st.st_size;
        file = malloc(file_size);
        int ok = file && fread(file, 1, file_size, f) == file_size;
        fclose(f);
        return ok ? 0 : -1;
    }
    return -1;
}

static int free_file(void **state) {
    (void)state;
    free(file);
    return 0;
}

/* Everything that can be asked; only that nothing reads outside counts. */
static void ask_everything(struct kt_elf *elf) {
    struct kt_elf_section section;
    struct kt_elf_symbols symbols;
    char text[200];
    uint64_t value;
    for (size_t i = 0; i < kt_elf_section_count(elf); i++)
        kt_elf_section(elf, i, &section);
    kt_elf_find_section(elf, "kitsune_digests", &section);
    kt_elf_dynamic_symbol(elf, "main");
    uint64_t sum = 0;
    if (kt_elf_symbols(elf, &symbols))
        for (size_t i = 0; i < symbols.count; i++)
            sum +=
                symbols.list[i].st_value + (symbols.list[i].st_name < symbols.strings_size
                                                ? strlen(symbols.strings + symbols.list[i].st_name)
                                                : 0);
    (void)sum;
    kt_elf_build_id(elf, text, sizeof text);
    for (uint64_t a = 0; a < 0x6000; a += 8)
        kt_elf_pointer(elf, a, &value);
    kt_elf_string_at(elf, 0x300);
}

static void a_shared_object_is_read(void **state) {
    (void)state;
    struct kt_failure failure = {0};
    struct kt_elf elf;
    char build_id[KT_BUILD_ID_TEXT];
    assert_int_equal(kt_elf_open_memory(&elf, file, file_size, "lib", &failure), 0);
    assert_true(kt_elf_build_id(&elf, build_id, sizeof build_id));
    assert_int_equal(strlen(build_id), 40);
    assert_non_null(kt_elf_dynamic_symbol(&elf, "__libdl_version_placeholder"));
    assert_null(kt_elf_dynamic_symbol(&elf, "no_such_symbol"));
    assert_int_equal(kt_verify_is_version(&elf, &failure), KT_NOT_A_VERSION);
    ask_everything(&elf);
    kt_elf_close(&elf);
}

static void a_file_cut_anywhere_gives_an_error_or_is_read_within_its_bounds(void **state) {
    (void)state;
    for (size_t size = 0; size < file_size; size += size < 8192 ? 7 : 61) {
        /* Its own block, so that the sanitizer sees its end. */
        uint8_t *cut = malloc(size ? size : 1);
        memcpy(cut, file, size);
        struct kt_failure failure = {0};
        struct kt_elf elf;
        if (kt_elf_open_memory(&elf, cut, size, "cut", &failure))
            assert_true(failure.code == KT_NOT_ELF || failure.code == KT_TRUNCATED);
        else
            ask_everything(&elf);
        kt_elf_close(&elf);
        free(cut);
    }
}

static void damaged_bytes_never_lead_outside(void **state) {
    (void)state;
    srand(1);
    uint8_t *damaged = malloc(file_size);
    for (int round = 0; round < 3000; round++) {
        memcpy(damaged, file, file_size);
        /* Mostly in the headers and tables at the front and at the end. */
        for (int i = 0; i < 1 + round % 8; i++) {
            size_t at = (size_t)rand() % (round % 3 ? 0x1000 : file_size);
            if (round % 5 == 0)
                at = file_size - 1 - (size_t)rand() % 2048;
            damaged[at] = (uint8_t)(rand() % 4 ? rand() : 0xff);
        }
        struct kt_failure failure = {0};
        struct kt_elf elf;
        if (!kt_elf_open_memory(&elf, damaged, file_size, "damaged", &failure))
            ask_everything(&elf);
        kt_elf_close(&elf);
    }
    free(damaged);
}

static void other_files_are_named_for_what_they_are(void **state) {
    (void)state;
    struct kt_failure failure = {0};
    struct kt_elf elf;
    uint8_t copy[4096];
    assert_int_equal(kt_elf_open_memory(&elf, "hello", 5, "text", &failure), KT_NOT_ELF);
    memcpy(copy, file, sizeof copy);
    copy[EI_CLASS] = ELFCLASS32;
    memset(&failure, 0, sizeof failure);
    assert_int_equal(kt_elf_open_memory(&elf, copy, sizeof copy, "small", &failure),
                     KT_WRONG_ARCHITECTURE);
    assert_non_null(strstr(failure.message, "32-bit"));
    copy[EI_CLASS] = ELFCLASS64;
    ((Elf64_Ehdr *)copy)->e_machine = EM_PPC64;
    memset(&failure, 0, sizeof failure);
    assert_int_equal(kt_elf_open_memory(&elf, copy, sizeof copy, "power", &failure),
                     KT_WRONG_ARCHITECTURE);
    memcpy(copy, file, sizeof copy);
    ((Elf64_Ehdr *)copy)->e_type = ET_EXEC;
    memset(&failure, 0, sizeof failure);
    assert_int_equal(kt_elf_open_memory(&elf, copy, sizeof copy, "fixed", &failure), KT_NOT_SHARED);
}

static void a_directory_or_device_is_no_version(void **state) {
    (void)state;
    struct kt_failure failure = {0};
    struct kt_elf elf;
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    assert_int_equal(kt_elf_open(&elf, fd, "/tmp", &failure), KT_NOT_REGULAR);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shared_object_is_read),
        cmocka_unit_test(a_file_cut_anywhere_gives_an_error_or_is_read_within_its_bounds),
        cmocka_unit_test(damaged_bytes_never_lead_outside),
        cmocka_unit_test(other_files_are_named_for_what_they_are),
        cmocka_unit_test(a_directory_or_device_is_no_version),
    };
    return cmocka_run_group_tests(tests, load_file, free_file);
}
