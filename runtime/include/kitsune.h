/*
 * kitsune.h - the interface of an updatable program, its transformers and its build.
 *
 * An updatable program calls kitsune_update() where it is at rest, and takes its state over with
 * kitsune_do_automigrate() or the MIGRATE_ macros when it starts up in a new version. Compiled
 * without kcc, all annotations expand to nothing and all calls work: outside the driver
 * kitsune_update() does nothing.
 *
 * Includes every public header but ktthreads.h. C99 and C++.
 */
#ifndef KITSUNE_H
#define KITSUNE_H

#include <stddef.h>

/* ---- Annotations: what kcc and kitsune-xfgen should know about a declaration
 * ------------------------------- */

#if defined(__KITSUNE_KCC__) && !defined(E_NOANNOT)
#define KT_ANNOTATION(...) __attribute__((__VA_ARGS__))
#else
#define KT_ANNOTATION(...)
#endif

/* On a function definition, after its declarator: its formals and locals are noted, for
 * MIGRATE_LOCAL. */
#define E_NOTELOCALS KT_ANNOTATION(kt_notelocals)
/* On a variable: in or out of kitsune_do_automigrate(). */
#define E_AUTO_MIGRATE KT_ANNOTATION(kt_auto_migrate)
#define E_MANUAL_MIGRATE KT_ANNOTATION(kt_manual_migrate)
/* On a pointer: to one object (the default). */
#define E_PTR KT_ANNOTATION(kt_ptr)
/* On a pointer, variable or field: copy the bits, do not follow. */
#define E_OPAQUE KT_ANNOTATION(kt_opaque)
/* On a pointer: to the first of n objects; n: a constant, `self.field`, or arithmetic over them. */
#define E_PTRARRAY(n) KT_ANNOTATION(kt_ptrarray(n))
/* On an array of unknown bound: its length. */
#define E_ARRAY(n) KT_ANNOTATION(kt_array(n))
/* On a pointer: to an array that ends with an all-zero element (for char *: a C string). */
#define E_SZ KT_ANNOTATION(kt_sz)
/* On a struct or typedef: its type parameters, as in E_GENERIC(@key, @value). */
#define E_GENERIC(...) KT_ANNOTATION(kt_generic(__VA_ARGS__))
/* On a pointer: what type parameter `a` stands for, as in void *E_T(@a). */
#define E_T(...) KT_ANNOTATION(kt_t(__VA_ARGS__))
/* On a use of a generic type: its arguments. */
#define E_G(...) KT_ANNOTATION(kt_g(__VA_ARGS__))
/* On a pointer: the allocator of the object it points to. */
#define E_CUSTOM(malloc_fn, free_fn) KT_ANNOTATION(kt_custom(malloc_fn, free_fn))
/* On a field: leave it alone; transform it as without an annotation; copy its bits. */
#define E_IGNORE KT_ANNOTATION(kt_ignore)
#define E_AUTO KT_ANNOTATION(kt_auto)
#define E_RAW KT_ANNOTATION(kt_raw)

/* The file and namespace parts of this unit's keys: kcc defines them; by hand,
 * -DKT_FILE_KEY='"src/a.c"'. */
#ifdef KT_FILE_KEY
#define KT_THIS_FILE KT_FILE_KEY
#else
#define KT_THIS_FILE __FILE__
#endif
#ifdef KT_NAMESPACE_KEY
#define KT_THIS_NAMESPACE KT_NAMESPACE_KEY
#else
#define KT_THIS_NAMESPACE ((const char *)0)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Control flow
 * --------------------------------------------------------------------------------------- */

/*
 * An update point: the calling thread is at rest here and could go on in the next version. `point`
 * names it; a string that lives as long as the version.
 *
 * Returns at once (one predictable branch) while no update is asked for. With an update pending,
 * checks and starts the next version; when anything is refused it returns as if nothing had been
 * asked. When the update succeeds it does not return: execution goes on in the next version. In a
 * version that is starting up after an update, reaching the point that this thread left from
 * completes the update for it; other points return at once. In a program of several threads (see
 * ktthreads.h) each has points of its own; the main thread's starts the update.
 *
 * To be called from ordinary code only (no signal handler), holding no lock that the next version's
 * start needs.
 */
void kitsune_update(const char *point);

/* 1 in a new version from its start until the calling thread reaches the update point that it left
 * from. Always 0 in a thread that the new version itself has created. */
int kitsune_is_updating(void);

/* As kitsune_is_updating(), and the calling thread left from `point`. */
int kitsune_is_updating_from(const char *point);

/* 1 once this process has been updated at least once (also while its first update is under way). */
int kitsune_has_updated(void);

/* Requests an update to the file given to kitsune_set_next_version(). Async-signal-safe. Nothing
 * happens before the next update point. Does nothing outside the driver. */
void kitsune_signal_update(void);

/* The file that an update requested by kitsune_signal_update() loads: relative to the working
 * directory at the update. Takes ownership of a malloc'd string; NULL forgets the file. Not
 * async-signal-safe. */
void kitsune_set_next_version(char *path);

/* Withdraws a pending request, from inside or outside. From ordinary code only. */
void kitsune_clear_request(void);

/* The file name of the pending or next update, or NULL. Owned by the runtime, valid until the next
 * call of kitsune_set_next_version() or kitsune_update(). */
char *kitsune_new_code(void);

/* 1 between a request and its outcome: for programs that want to reach an update point early.
 * Async-signal-safe. */
int kitsune_update_pending(void);

/* A descriptor that is readable while an update is pending, for poll and epoll loops: not to be
 * read, written or closed by the program. Created at the first call; -1 with errno outside the
 * driver or on failure. It survives updates. */
int kitsune_update_fd(void);

/* ---- Migration
 * ---------------------------------------------------------------------------------------------- */

/* A hand-written transformer: gets the address of the new variable, returns 1 if it migrated it. */
typedef int (*xform_fn_t)(void *new_address);

/*
 * Migrates every variable that is registered for automatic migration, then redirects all pointers
 * to what moved. Does nothing when the version is not starting up after an update. To be called
 * once, from the main thread. A failure is remembered: the update will not commit.
 */
void kitsune_do_automigrate(void);

/*
 * Migrates one variable. `func`, `file` and `ns` are NULL where the key has no such part. `xform`
 * may be NULL: the transformer of the generated pair is used, else the smaller of both sizes is
 * copied. Returns 1 if migrated, 0 if not updating or the old version has no such variable.
 */
int kitsune_migrate_var(const char *name, const char *func, const char *file, const char *ns,
                        void *address, size_t size, xform_fn_t xform);

/* The hand-written transformer of that variable in the current version, or NULL. */
xform_fn_t kitsune_get_xform(const char *name, const char *func, const char *file, const char *ns);

#define KT_MIGRATE(name, func, file, address, size)                                                \
    (kitsune_is_updating()                                                                         \
         ? kitsune_migrate_var(name, func, file, KT_THIS_NAMESPACE, (void *)(address), size,       \
                               kitsune_get_xform(name, func, file, KT_THIS_NAMESPACE))             \
         : 0)

/* One variable by hand; value: 1 if migrated, 0 if not updating or there is no old value. */
#define MIGRATE_GLOBAL(v) KT_MIGRATE(#v, (const char *)0, (const char *)0, &(v), sizeof(v))
#define MIGRATE_STATIC(v) KT_MIGRATE(#v, (const char *)0, KT_THIS_FILE, &(v), sizeof(v))
/* A local or formal of the running function, noted in both versions (E_NOTELOCALS or NOTE_LOCAL).
 */
#define MIGRATE_LOCAL(v) KT_MIGRATE(#v, __func__, (const char *)0, &(v), sizeof(v))
#define MIGRATE_LOCAL_STATIC(func, v) KT_MIGRATE(#v, #func, KT_THIS_FILE, &(v), sizeof(v))

/* ---- Names of hand-written transformers
 * ----------------------------------------------------------------- */
/* In `file`, every character that an identifier can't hold is written `_`: STATIC_XFORM(src_main_c,
 * x). */
#define GLOBAL_XFORM(name) _kitsune_transform_##name
#define LOCAL_XFORM(func, name) _kitsune_transform_func___##func##___##name
#define STATIC_XFORM(file, name) _kitsune_transform_file___##file##___##name
#define LOCAL_STATIC_XFORM(file, func, name)                                                       \
    _kitsune_transform_file___##file##___func___##func##___##name

/* The new version's address of old function `old_function`, which is one of `names` ("f, g, h").
 * NULL gives NULL; another function fails the migration and is returned as it is. */
void *kitsune_map_function(void *old_function, const char *names);

/* Defines void *def(void *), which maps old to new addresses of the functions named. */
#define DEF_XFORM_FUNC_PTR(def, ...)                                                               \
    void *def(void *kt_old_function);                                                              \
    void *def(void *kt_old_function) {                                                             \
        return kitsune_map_function(kt_old_function, #__VA_ARGS__);                                \
    }

#ifdef __cplusplus
}
#endif

#include "kitsunemisc.h"
#include "ktheaptrack.h"
#include "ktlog.h"
#include "registervars.h"
#include "stackvars.h"
#include "transform.h"

#endif
