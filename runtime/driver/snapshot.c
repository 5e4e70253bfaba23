/*
 * snapshot.c - the state of the process before a version starts, and the way back to it.
 *
 * A child that shares nothing but the pages that neither has written since (clone() as fork() does
 * it, without the program's handlers, and without a signal at its end) keeps the memory and the
 * descriptors as they were; it waits, and copies what it is asked for into memory that both see.
 * Going back compares all private memory with the keeper's, and writes what differs; mappings,
 * descriptors and signal handlers that are new go, those that are missing come back. Then the
 * process is where snapshot_take() was called, which returns a second time.
 *
 * What goes back runs on a stack of its own, in memory that is not put back, all signals blocked,
 * and calls nothing that allocates. Threads are parked, or stand aside on stacks of their own;
 * those that were created since end. A program that has ended one can't go back. Not undone is what
 * the kernel or others hold: files, what was sent, the working directory, timers.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "snapshot.h"

static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};
_Static_assert(sizeof fatal / sizeof *fatal == FATAL, "a state for each");

struct snapshot *snapshot;

/* All signals are blocked: what the keeper has sent meanwhile waits. */
static void forget_signals(const struct snapshot *s) {
    const struct timespec at_once = {0, 0};
    siginfo_t info;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGABRT);
    while (sigtimedwait(&one, &info, &at_once) == SIGABRT)
        if (info.si_pid != s->latest_keeper) {
            raise(SIGABRT);
            return;
        }
}

/* Neither the old version nor the new one can go on. */
static void be_lost(struct snapshot *s) {
    static const char text[] = "kitsune: the state before the update can't be restored\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        s->setback.closed = 0;
    signal(SIGABRT, SIG_DFL);
    syscall(SYS_kill, s->owner, SIGKILL);
}

static void go_back(void) {
    struct snapshot *s = snapshot;
    prescan_end();
    snapshot_put_back_descriptors(s);
    if (!snapshot_put_back_memory(s))
        be_lost(s);
    for (int i = 1; i < _NSIG; i++)
        sigaction(i, &s->actions[i], NULL);
    snapshot_release_keeper(s);
    forget_signals(s);
    snapshot_release_threads(s);
    s->gone_back = 1;
    setcontext(&s->context);
}

static void go_back_because(const struct kt_setback *why, uint64_t patience_ns) {
    struct snapshot *s = snapshot;
    sigset_t all;
    if (!s || !s->keeper || getpid() != s->owner || gettid() != s->tid ||
        s->waker_tid != driver_state->waker_tid || !snapshot_is_alone(s, patience_ns))
        return;
    if (!snapshot_clear_stacks(s))
        return;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (!snapshot_end_new_threads(s))
        be_lost(s);
    s->setback = *why;
    getcontext(&s->way);
    s->way.uc_stack.ss_sp = s->stack;
    s->way.uc_stack.ss_size = sizeof s->stack;
    s->way.uc_link = NULL;
    makecontext(&s->way, go_back, 0);
    setcontext(&s->way);
}

/* One of the threads, in the new version: the main thread is the one who goes back. */
static void leave_it_to_main(const struct kt_setback *why) {
    struct snapshot *s = snapshot;
    if (!s || !s->keeper || getpid() != s->owner || gettid() == s->tid ||
        !(snapshot_own_place() || snapshot_is_new_thread()))
        return;
    s->setback = *why;
    s->failed_thread = 1;
    syscall(SYS_tgkill, s->owner, s->tid, SIGABRT);
    snapshot_stand_aside();
}

void snapshot_go_back(const struct kt_setback *why) {
    leave_it_to_main(why);
    go_back_because(why, PATIENCE_NS);
}

/* Where it happened: an offset in the file, as addr2line takes it. */
static uintptr_t offset_in_version(const ucontext_t *context) {
    const struct kt_version *v = driver_state->versions[driver_state->current];
#if defined(__x86_64__)
    uintptr_t at = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    uintptr_t at = context->uc_mcontext.pc;
#else
    uintptr_t at = 0;
    (void)context;
#endif
    return at >= v->image.lo && at < v->image.hi ? at - v->image.lo : 0;
}

static void on_fatal(int signal_, siginfo_t *info, void *context) {
    struct snapshot *s = snapshot;
    struct kt_setback why = {.signal = signal_, .place = offset_in_version(context)};
    if (signal_ == SIGABRT && s->failed_thread && info->si_pid == s->owner) {
        why = s->setback;
    } else if (signal_ == SIGABRT && info->si_code <= 0 && info->si_pid == s->latest_keeper) {
        why.signal = 0;
        go_back_because(&why, 0);
        return;
    }
    snapshot_go_back(&why);
    /* Not the thread that updates, or there is no way back. */
    signal(signal_, SIG_DFL);
    if (info->si_code <= 0)
        raise(signal_);
}

static void catch_fatal(struct snapshot *s) {
    struct sigaction action = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    const stack_t stack = {.ss_sp = s->stack_of_signals, .ss_size = sizeof s->stack_of_signals};
    sigemptyset(&action.sa_mask);
    for (int i = 1; i < _NSIG; i++)
        sigaction(i, NULL, &s->actions[i]);
    for (int i = 0; i < FATAL; i++) {
        const struct sigaction *a = &s->actions[fatal[i]];
        /* A program that deals with them itself goes on doing so. */
        s->caught[i] = !(a->sa_flags & SA_SIGINFO) && a->sa_handler == SIG_DFL;
        if (s->caught[i])
            sigaction(fatal[i], &action, NULL);
    }
    sigaltstack(NULL, &s->signal_stack);
    if (s->signal_stack.ss_flags & SS_DISABLE)
        sigaltstack(&stack, NULL);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    sigemptyset(&s->unblocked);
    for (int i = 0; i < FATAL; i++)
        if (s->caught[i] && sigismember(&mask, fatal[i]))
            sigaddset(&s->unblocked, fatal[i]);
    pthread_sigmask(SIG_UNBLOCK, &s->unblocked, NULL);
}

static void leave_fatal(struct snapshot *s) {
    pthread_sigmask(SIG_BLOCK, &s->unblocked, NULL);
    struct sigaction action;
    for (int i = 0; i < FATAL; i++)
        if (s->caught[i] && !sigaction(fatal[i], NULL, &action) && action.sa_sigaction == on_fatal)
            sigaction(fatal[i], &s->actions[fatal[i]], NULL);
    stack_t stack;
    if ((s->signal_stack.ss_flags & SS_DISABLE) && !sigaltstack(NULL, &stack) &&
        stack.ss_sp == s->stack_of_signals)
        sigaltstack(&s->signal_stack, NULL);
}

static bool make(void) {
    if (snapshot)
        return true;
    /* Whole pages of its own. */
    char *room = state_allocate(sizeof *snapshot + 2 * PAGE);
    if (room)
        snapshot = (void *)(((uintptr_t)room + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    return room != NULL;
}

/* Returns twice: what it needs then is not in variables of its own. */
static __attribute__((noinline)) int take(void) {
    getcontext(&snapshot->context);
    if (snapshot->gone_back)
        return 1;
    long keeper = syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    if (keeper == 0)
        snapshot_keep(snapshot, snapshot->until_ns);
    snapshot->keeper = snapshot->latest_keeper = keeper > 0 ? (pid_t)keeper : 0;
    return keeper > 0 ? 0 : -1;
}

int snapshot_take(uint64_t until_ns, struct kt_setback *setback) {
    sigset_t all, before;
    if (driver_state->on_failure == KT_ON_FAILURE_ABORT || !snapshot_proc_is_own() || !make())
        return -1;
    struct snapshot *s = snapshot;
    s->channel =
        mmap(NULL, sizeof *s->channel, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s->channel == MAP_FAILED)
        return -1;
    s->owner = getpid();
    s->tid = gettid();
    s->until_ns = until_ns;
    s->gone_back = 0;
    s->waker_tid = driver_state->waker_tid;
    s->n_threads = snapshot_list_numbers(s, s->owner, "task", s->threads, MOST_RANGES);
    s->n_had = snapshot_read_ranges(s, s->owner, s->had);
    s->end_of_heap = (uintptr_t)syscall(SYS_brk, 0);
    if (s->n_had < 0 || s->n_threads < 0 || s->n_threads == MOST_RANGES ||
        !snapshot_note_parked(s)) {
        munmap(s->channel, sizeof *s->channel);
        return -1;
    }
    catch_fatal(s);
    /* No handler runs in the keeper. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    int result = take();
    if (result > 0)
        *setback = snapshot->setback;
    else if (result < 0)
        munmap(s->channel, sizeof *s->channel);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (result != 0)
        leave_fatal(snapshot);
    return result;
}

void snapshot_drop(void) {
    if (!snapshot || !snapshot->keeper || getpid() != snapshot->owner)
        return;
    /* In this order: a signal of the keeper's is to find the handler. */
    snapshot_release_keeper(snapshot);
    leave_fatal(snapshot);
}
