/*
 * test_engine_random.c - random graphs against a simple model: the same shape must come out,
 * whatever the order of the visits.
 *
 * Objects are nodes, arrays of nodes and in-place cells; edges lead to starts, into the middle, and
 * through void pointers. Before the migration each node is numbered; afterwards the graph is walked
 * along the model and every edge compared.
 */
#include "engine_test.h"

enum { MAX_BLOCKS = 400, EDGES = 3 };

struct old_vertex {
    struct old_vertex *edge[EDGES]; /* typed: followed */
    void *loose;                    /* to the middle of another, followed by nobody */
    uint32_t number;
};
struct new_vertex {
    uint32_t number, added;
    void *loose;
    uint64_t more[2];
    struct new_vertex *edge[EDGES];
};

static void vertex_content(const struct kt_type *type, void *in, void *out) {
    struct old_vertex *old = in;
    struct new_vertex *new_ = out;
    for (int i = 0; i < EDGES; i++)
        new_->edge[i] = kt_follow(type, old->edge[i], 1, "vertex.edge[]");
    new_->loose = old->loose;
    new_->number = old->number;
}
static const struct kt_span vertex_spans[] = {
    {0, offsetof(struct new_vertex, edge), sizeof(void *) * EDGES},
    {offsetof(struct old_vertex, loose), offsetof(struct new_vertex, loose), 8},
    {offsetof(struct old_vertex, number), offsetof(struct new_vertex, number), 4}};
static const struct kt_type vertex_type = {.name = "struct vertex",
                                           .old_size = sizeof(struct old_vertex),
                                           .new_size = sizeof(struct new_vertex),
                                           .content = vertex_content,
                                           .spans = vertex_spans,
                                           .n_spans = 3};

static uint64_t seed;
static uint32_t below(uint32_t n) {
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 33) % n;
}

struct block {
    uint32_t count, first; /* vertices */
};
static struct block blocks[MAX_BLOCKS];
static uint32_t n_blocks, n_vertices;
/* The model: for each vertex, where its edges lead, as vertex number + 1, and the byte offset of
 * the loose one. */
static uint32_t edges[MAX_BLOCKS * 64][EDGES], loose[MAX_BLOCKS * 64];
static uint32_t block_of[MAX_BLOCKS * 64];

static void *volatile roots[MAX_BLOCKS];

static struct old_vertex *old_vertex(uint32_t v) {
    struct block *b = &blocks[block_of[v]];
    return (struct old_vertex *)roots[block_of[v]] + (v - b->first);
}

static void build(bool scattered) {
    void *holes[MAX_BLOCKS];
    n_blocks = 1 + below(MAX_BLOCKS);
    n_vertices = 0;
    for (uint32_t b = 0; b < n_blocks; b++) {
        uint32_t count = below(4) != 0 ? 1 : 1 + below(60);
        blocks[b] = (struct block){count, n_vertices};
        roots[b] = calloc(count, sizeof(struct old_vertex));
        holes[b] = malloc(1 + below(300));
        for (uint32_t i = 0; i < count; i++)
            block_of[n_vertices++] = b;
    }
    for (uint32_t b = 0; b < n_blocks; b++)
        if (!scattered || below(2) != 0) {
            free(holes[b]);
        } else {
            free(holes[b]);
            holes[b] = NULL;
        }
    for (uint32_t v = 0; v < n_vertices; v++) {
        struct old_vertex *vertex = old_vertex(v);
        vertex->number = v;
        for (int i = 0; i < EDGES; i++) {
            edges[v][i] = below(3) == 0 ? 0 : 1 + below(n_vertices);
            vertex->edge[i] = edges[v][i] == 0 ? NULL : old_vertex(edges[v][i] - 1);
        }
        loose[v] = below(n_vertices);
        vertex->loose = &old_vertex(loose[v])->number;
    }
}

static void check_new(void) {
    for (uint32_t v = 0; v < n_vertices; v++) {
        struct new_vertex *at =
            (struct new_vertex *)roots[block_of[v]] + (v - blocks[block_of[v]].first);
        assert_int_equal(at->number, v);
        for (int i = 0; i < EDGES; i++) {
            if (edges[v][i] == 0) {
                assert_null(at->edge[i]);
                continue;
            }
            uint32_t to = edges[v][i] - 1;
            assert_ptr_equal(at->edge[i], (struct new_vertex *)roots[block_of[to]] +
                                              (to - blocks[block_of[to]].first));
        }
        uint32_t to = loose[v];
        assert_ptr_equal(at->loose, &((struct new_vertex *)roots[block_of[to]] +
                                      (to - blocks[block_of[to]].first))
                                         ->number);
    }
}

static uint64_t old_checksum(void) {
    uint64_t sum = 0;
    for (uint32_t b = 0; b < n_blocks; b++)
        sum = sum * 31 + checksum(roots[b], blocks[b].count * sizeof(struct old_vertex));
    return sum;
}

static void random_graphs_keep_their_shape(void **state) {
    (void)state;
    uint32_t rounds = malloc_is_glibc() ? 300 : 40;
    for (uint32_t round = 0; round < rounds; round++) {
        seed = round + 1;
        build(round % 2 != 0);
        uint64_t before = old_checksum();
        for (int commit = 0; commit < 2; commit++) {
            uint32_t start = below(n_blocks), step = below(2) != 0 ? 1 : n_blocks - 1;
            begin();
            /* The roots in some order: interior pointers are met before and after the arrays that
             * they lead into. */
            struct kt_engine_stats stats;
            for (uint32_t i = 0; i < n_blocks; i++) {
                uint32_t b = (start + i * step) % n_blocks;
                void *new_ = kt_follow(&vertex_type, roots[b], blocks[b].count, "roots[]");
                if (commit)
                    roots[b] = new_;
            }
            finish_walk();
            stats = *kt_engine_stats();
            assert_int_equal(stats.objects_copied, n_blocks);
            if (commit) {
                kt_engine_commit();
            } else {
                kt_engine_abandon();
                assert_int_equal(old_checksum(), before);
            }
        }
        check_new();
        for (uint32_t b = 0; b < n_blocks; b++)
            free(roots[b]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs_keep_their_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
