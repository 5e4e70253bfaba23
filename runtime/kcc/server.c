/*
 * server.c - finding the compile server, or starting one.
 *
 * The socket lies in a directory that only this user can enter, under a name made of everything
 * that a server must agree with its clients about: the installation, its state, the protocol, Node.
 * So another kcc has another server, and a changed one a new one. Whoever holds the lock beside the
 * socket is the one server: the client that starts it takes the lock, makes the socket (so that
 * others can come at once) and hands both over. The lock falls when the server ends, however it
 * does; a socket without a lock is a dead one's and is replaced.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

enum {
    PROTOCOL = 0
#define KCC_PROTOCOL(number) +number
#include "tables.def"
#undef KCC_PROTOCOL
    ,
    LISTENING = 3, /* the server's descriptors */
    LOCK = 4,
    STARTING_MS = 1000, /* how long another client may take to make the socket */
};

/* The main file's state stands for the installation's: lib/server/server.ts, identityOf. */
static bool identify(const struct kcc_package *package, char *file, char *identity, size_t size) {
    struct stat st;
    int n = snprintf(file, PATH_MAX, "%s/dist/cli/kcc-server.js", package->root);
    if (n >= PATH_MAX || stat(file, &st))
        return false;
    n = snprintf(identity, size, "kcc %d %s %lu %lu %ld %lld", PROTOCOL, file,
                 (unsigned long)st.st_dev, (unsigned long)st.st_ino, (long)st.st_size,
                 (long long)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec);
    return n < (int)size;
}

/* FNV-1a, 64 bits: names that differ, not secrets. */
static uint64_t hash(uint64_t h, const char *text) {
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3;
    return h;
}

/* False: there is no directory that could be trusted, or none is wanted. */
static bool find_directory(char *directory, size_t size) {
    const char *chosen = getenv("KCC_SERVER");
    struct stat st;
    if (chosen && chosen[0] == '/') {
        if (strlen(chosen) >= size)
            return false;
        strcpy(directory, chosen);
    } else if (!chosen || !*chosen || !strcmp(chosen, "on"))
        snprintf(directory, size, "/tmp/kitsune-kcc-%lu", (unsigned long)geteuid());
    else
        return false;
    if (mkdir(directory, 0700) && errno != EEXIST)
        return false;
    /* The rules of the runtime's request directory (strict_modes.c). */
    return !lstat(directory, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           !(st.st_mode & 077);
}

static bool is_own(int socket) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    return !getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.uid == geteuid();
}

/* Never waits: a queue that is full belongs to a server in trouble. */
static int try_connect(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (!connect(fd, (const struct sockaddr *)address, sizeof *address) && is_own(fd))
        return fd;
    close(fd);
    return -1;
}

static int make_socket(const struct sockaddr_un *address) {
    struct sockaddr_un made = {.sun_family = AF_UNIX};
    int n =
        snprintf(made.sun_path, sizeof made.sun_path, "%s.%ld", address->sun_path, (long)getpid());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || n >= (int)sizeof made.sun_path)
        goto failed;
    unlink(made.sun_path);
    if (bind(fd, (struct sockaddr *)&made, sizeof made))
        goto failed;
    /* Under its name only when it takes connections: nobody sees one that refuses. */
    if (!listen(fd, SOMAXCONN) && !rename(made.sun_path, address->sun_path))
        return fd;
    unlink(made.sun_path);
failed:
    if (fd >= 0)
        close(fd);
    return -1;
}

static void close_from(unsigned first) {
    if (!syscall(SYS_close_range, first, ~0U, 0))
        return;
    for (int fd = (int)first; fd < (int)sysconf(_SC_OPEN_MAX); fd++)
        close(fd);
}

static char *variable(const char *name) {
    const char *value = getenv(name);
    char *text = NULL;
    return value && asprintf(&text, "%s=%s", name, value) > 0 ? text : NULL;
}

/*
 * Becomes the server: a process of its own session, that holds nothing of the client's: no pipe
 * that somebody waits to see closed, no descriptor of make's job server, no directory, no variable
 * that means something to one build.
 */
static void become_server(const struct kcc_package *package, const char *file, const char *path,
                          const char *identity, int listening, int lock) {
    listening = fcntl(listening, F_DUPFD, 16);
    lock = fcntl(lock, F_DUPFD, 16);
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || listening < 0 || lock < 0)
        _exit(1);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    dup2(listening, LISTENING);
    dup2(lock, LOCK);
    close_from(LOCK + 1);
    sigset_t none;
    sigemptyset(&none);
    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigaction(signal, &action, NULL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    umask(077);
    if (chdir("/"))
        _exit(1);
    char *words[] = {(char *)package->node,
                     /* More would be a sign of trouble; a server that ends is replaced. */
                     (char *)"--max-old-space-size=2048",
                     /* Most of what a compilation makes dies with it. */
                     (char *)"--max-semi-space-size=32",
                     /* The other cores are the compilers'. */
                     (char *)"--single-threaded-gc", (char *)file, (char *)path, (char *)identity,
                     NULL};
    char *environment[3] = {NULL}, **to = environment;
    if ((*to = variable("PATH")))
        to++;
    if ((*to = variable("LD_LIBRARY_PATH")))
        to++;
    execve(package->node, words, environment);
    _exit(1);
}

/* Two forks: nobody of the client's family is the server's parent, and nobody waits for it. */
static void start(const struct kcc_package *package, const char *file, const char *path,
                  const char *identity, int listening, int lock) {
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0)
            become_server(package, file, path, identity, listening, lock);
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Takes the lock if it is free. */
static int take_lock(const char *path) {
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s.lock", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int kcc_connect(const struct kcc_package *package, char *identity, size_t size) {
    char directory[64], file[PATH_MAX];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!package->node[0] || !find_directory(directory, sizeof directory) ||
        !identify(package, file, identity, size))
        return -1;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%016llx", directory,
             (unsigned long long)hash(hash(0xcbf29ce484222325, identity), package->node));
    for (int waited = 0; waited < STARTING_MS; waited += 2) {
        int fd = try_connect(&address);
        if (fd >= 0)
            return fd;
        int lock = take_lock(address.sun_path);
        if (lock >= 0) {
            int listening = make_socket(&address);
            if (listening >= 0) {
                start(package, file, address.sun_path, identity, listening, lock);
                fd = try_connect(&address);
                close(listening);
            }
            close(lock);
            return fd;
        }
        if (errno != EWOULDBLOCK)
            return -1;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return -1;
}
