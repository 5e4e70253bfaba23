/**
 * @file transform.h
 * Combinators for hand-written transformers.
 *
 * A closure describes how an object of the old version becomes one of the new version: a function,
 * the sizes on both sides, whether the object may stay where it is, and arguments (mostly closures
 * for the parts). XF_INVOKE() applies one:
 *
 * @code
 * static void xform_node(void *in, void *out, int nargs, void **args) {
 *     struct old_node *old = in;
 *     struct node *new_ = out;
 *     XF_ASSIGN(new_->key, old->key);
 *     XF_INVOKE(XF_PTR(XF_LIFT(xform_node, XF_DEEP, sizeof *old, sizeof *new_)), &old->next,
 * &new_->next);
 * }
 * int _kitsune_transform_head(void *new_head) {
 *     XF_INVOKE(XF_PTR(XF_LIFT(xform_node, XF_DEEP, sizeof(struct old_node), sizeof(struct node))),
 *               GET_OLD_GLOBAL(head), new_head);
 *     return 1;
 * }
 * @endcode
 *
 * What pointers lead to is kept in mind for the whole update: one old object becomes one new
 * object, however many pointers reach it and whatever cycles they form. Such an object is *filled
 * from a work list*, not by recursion, so that a list of any length needs no stack: the new pointer
 * is valid at once, the object behind it is complete when kitsune_do_automigrate() or the outermost
 * MIGRATE_ macro returns. A transformer that has to read a finished new object does so in
 * _kitsune_mainupdate_xform().
 *
 * Old objects are not changed and not freed before the update is committed. All functions are
 * called from transformers (between the start of the new version's main and its update point), by
 * the main thread. Outside an update they do nothing, and a failure inside one (a null closure, no
 * memory) fails the update; the old version then goes on.
 */
#ifndef KITSUNE_TRANSFORM_H
#define KITSUNE_TRANSFORM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Transformer libraries find these in the new version, whatever visibility it was compiled with. */
#pragma GCC visibility push(default)

/** Where the object of a pointer may end up. */
enum xf_strategy {
    XF_SHALLOW, /**< it may stay where it is; `in` and `out` are then equal. Its sizes must be equal
                   on both sides. */
    XF_DEEP,    /**< it is allocated anew, with malloc; the old object is freed at the commit */
    XF_TARGET   /**< as the last argument of the closure says */
};

/** Transforms the object at `in` (old layout, not to be changed) into that at `out` (new layout,
 * zeroed; or the same object, with XF_SHALLOW). `args` are those that the closure was made with. */
typedef void (*transform_fn)(void *in, void *out, int nargs, void **args);

/** A transformation with its arguments. Made by the functions below, never freed by the caller: it
 * lives until the update's end. */
typedef struct closure closure;

/** A closure. The same function, strategy, sizes and arguments give the same closure: making one
 * anew for each object costs no memory.
 * @param fn the transformation
 * @param strategy enum xf_strategy
 * @param old_size,new_size bytes of the object in the old and the new version
 * @param nargs number of the pointers that follow, up to 32; with XF_TARGET the last one is a
 * closure
 * @return never NULL; outside an update, or without memory, a closure that does nothing */
closure *transform_make_closure(transform_fn fn, int strategy, size_t old_size, size_t new_size,
                                int nargs, ...);
/** Applies a closure to one object. `in` NULL: nothing happens. */
void transform_invoke_closure(closure *c, void *in, void *out);

/** Copies args[0] (a size) bytes. */
void transform_raw(void *in, void *out, int nargs, void **args);
/** A pointer to one object; args[0]: its closure. */
void transform_ptr(void *in, void *out, int nargs, void **args);
/** Objects in a row, in place; args: their number, old size, new size, closure. */
void transform_array(void *in, void *out, int nargs, void **args);
/** A pointer to objects in a row; args as transform_array. */
void transform_ptrarray(void *in, void *out, int nargs, void **args);
/** A pointer to objects in a row, ended by an all-zero one; args: old size, new size, closure. */
void transform_ntarray(void *in, void *out, int nargs, void **args);
/** A pointer to a string: heap strings stay where they are, literals become the new version's (or a
 * copy that lives on). */
void transform_ntstr(void *in, void *out, int nargs, void **args);
/** A function pointer: the new version's function of that name (after renamings). */
void transform_fptr(void *in, void *out, int nargs, void **args);

/** Says that the symbol `old_key` of the old version is `new_key` in the new one. Both are copied.
 * Call from _kitsune_prestart_xform(). */
void transform_register_renaming(const char *old_key, const char *new_key);
/** The new version's key for `old_key`: the one registered, or `old_key` itself. Valid until the
 * update's end. */
const char *transform_mapped_name(const char *old_key);

struct kt_type; /* kitsune_pair.h */
/** Behind $xform and $gen: the closure of a type that a generated transformer has a table of. What
 * pointers with this closure lead to is treated as what the transformer itself finds: its
 * allocator, the size of its flexible array and its parts are known. `fn` is what XF_LIFT would be
 * given. */
closure *transform_closure_of(const struct kt_type *type, transform_fn fn);

/** The old object that the allocator of an E_CUSTOM is being asked to find a place for: allocators
 * that take the place from where the old object lies (a pool that is divided up anew) need it. NULL
 * outside such a call. */
const void *transform_moving(void);

/** A block from malloc that the new version has no use for: freed when the update is committed,
 * kept if it fails. For what a rule replaces as a whole (the pages of a pool, a table); objects
 * that move are freed without it. NULL: nothing happens. */
void transform_release(void *old);

/** Behind XF_ASSIGN and XF_ASSERT_NULL. */
void transform_assign(void *target, size_t target_size, const void *source, size_t source_size);
void transform_assert_null(void *target, size_t target_size, const void *source, size_t source_size,
                           const char *what);

#define KT_XF_PICK(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, ...) q
#define KT_XF_COUNT(...)                                                                           \
    KT_XF_PICK(__VA_ARGS__, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0)
#define KT_XF_NUMBER(n) ((void *)(size_t)(n))

/** Applies closure `c` to the object at `in`, giving that at `out`. */
#define XF_INVOKE(c, in, out) transform_invoke_closure((c), (void *)(in), (void *)(out))
/** A closure from a function, with up to 15 arguments (pointers). */
#define XF_CLOSURE(fn, strategy, old_size, new_size, ...)                                          \
    transform_make_closure((fn), (strategy), (old_size), (new_size),                               \
                           KT_XF_COUNT(0, ##__VA_ARGS__), ##__VA_ARGS__)
/** A closure from a function without arguments. */
#define XF_LIFT(fn, strategy, old_size, new_size)                                                  \
    transform_make_closure((fn), (strategy), (old_size), (new_size), 0)
/** `size` bytes that are copied as they are. */
#define XF_RAW(size)                                                                               \
    transform_make_closure(transform_raw, XF_SHALLOW, (size), (size), 1, KT_XF_NUMBER(size))
/** A pointer to one object. */
#define XF_PTR(target)                                                                             \
    transform_make_closure(transform_ptr, XF_TARGET, sizeof(void *), sizeof(void *), 1,            \
                           (void *)(target))
/** `n` objects in a row. */
#define XF_ARRAY(n, old_size, new_size, elem)                                                      \
    transform_make_closure(transform_array, XF_TARGET, (size_t)(n) * (old_size),                   \
                           (size_t)(n) * (new_size), 4, KT_XF_NUMBER(n), KT_XF_NUMBER(old_size),   \
                           KT_XF_NUMBER(new_size), (void *)(elem))
/** A pointer to `n` objects in a row. */
#define XF_PTRARRAY(n, old_size, new_size, elem)                                                   \
    transform_make_closure(transform_ptrarray, XF_TARGET, sizeof(void *), sizeof(void *), 4,       \
                           KT_XF_NUMBER(n), KT_XF_NUMBER(old_size), KT_XF_NUMBER(new_size),        \
                           (void *)(elem))
/** A pointer to objects in a row, the last of which is all zero. */
#define XF_NTARRAY(old_size, new_size, elem)                                                       \
    transform_make_closure(transform_ntarray, XF_TARGET, sizeof(void *), sizeof(void *), 3,        \
                           KT_XF_NUMBER(old_size), KT_XF_NUMBER(new_size), (void *)(elem))
/** A pointer to a string. */
#define XF_NTSTR()                                                                                 \
    transform_make_closure(transform_ntstr, XF_SHALLOW, sizeof(void *), sizeof(void *), 0)
/** A function pointer. */
#define XF_FPTR()                                                                                  \
    transform_make_closure(transform_fptr, XF_SHALLOW, sizeof(void *), sizeof(void *), 0)
/** Copies the bytes of `src` to `target`, the smaller of both sizes; what remains of `target`
 * becomes zero. Both are lvalues, of any types. */
#define XF_ASSIGN(target, src) transform_assign(&(target), sizeof(target), &(src), sizeof(src))
/** `src` can only be NULL here: `target` becomes NULL; if it isn't, the update fails. */
#define XF_ASSERT_NULL(target, src)                                                                \
    transform_assert_null(&(target), sizeof(target), &(src), sizeof(src), #src)

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
