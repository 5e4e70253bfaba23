/*
 * command_line.c - reads the words of a command line by the option table.
 *
 * The table (tables.def) is made from the one of the TypeScript side.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "command_line.h"

enum form { FLAG, JOINED, SEPARATE, EITHER, PREFIX };
enum effect {
    NO_EFFECT,
    COMPILE_ONLY,
    ASSEMBLY_ONLY,
    PREPROCESS_ONLY,
    DEPEND_ONLY,
    SYNTAX_ONLY,
    FORWARD,
    OUTPUT,
    LANGUAGE,
    BITCODE,
    EFFECTS
};

static const struct option {
    const char *name;
    enum form form;
    enum effect effect;
} options[] = {
#define KCC_OPTION(name, form, effect) {name, form, effect},
#include "tables.def"
#undef KCC_OPTION
};

static const struct {
    const char *suffix, *language;
} suffixes[] = {
#define KCC_SUFFIX(suffix, language) {suffix, language},
#include "tables.def"
#undef KCC_SUFFIX
};

/* Every word that -x takes. */
static const char *const languages[] = {
#define KCC_LANGUAGE(language) language,
#include "tables.def"
#undef KCC_LANGUAGE
};

static const struct {
    const char *name;
    bool prefix;
} own_options[] = {
#define KCC_OWN_OPTION(name, prefix) {name, prefix},
#include "tables.def"
#undef KCC_OWN_OPTION
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool starts_with(const char *text, const char *start) {
    return !strncmp(text, start, strlen(start));
}

static bool is_own_option(const char *word) {
    for (size_t i = 0; i < COUNT(own_options); i++)
        if (own_options[i].prefix ? starts_with(word, own_options[i].name)
                                  : !strcmp(word, own_options[i].name))
            return true;
    return false;
}

/* A name as a whole wins; else the longest that the word begins with and that may go on. */
static const struct option *find_option(const char *word, bool *whole) {
    const struct option *found = NULL;
    size_t longest = 0;
    *whole = false;
    for (size_t i = 0; i < COUNT(options); i++) {
        const struct option *o = &options[i];
        size_t length = strlen(o->name);
        if (o->form != JOINED && !strcmp(word, o->name)) {
            found = o;
            *whole = true;
        } else if (!*whole && o->form != FLAG && o->form != SEPARATE && length > longest &&
                   !strncmp(word, o->name, length)) {
            found = o;
            longest = length;
        }
    }
    return found;
}

/* NULL: an input of the linker. */
static const char *language_of_suffix(const char *path) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash + 1 : path, '.');
    for (size_t i = 0; dot && i < COUNT(suffixes); i++)
        if (!strcmp(dot, suffixes[i].suffix))
            return suffixes[i].language;
    return NULL;
}

static bool is_language(const char *word) {
    for (size_t i = 0; i < COUNT(languages); i++)
        if (!strcmp(word, languages[i]))
            return true;
    return false;
}

static bool exists(const char *path) {
    struct stat st;
    return !stat(path, &st);
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

struct reading {
    bool effects[EFFECTS];
    bool missing_input, anonymous_input, unknown_language, c_text, c_file;
    const char *output;
    int inputs, compiled, headers;
};

static void read_input(struct reading *r, const char *path, const char *language) {
    r->inputs++;
    bool anonymous = !strcmp(path, "-"), there = anonymous || exists(path);
    r->anonymous_input |= anonymous && !language;
    r->missing_input |= !there;
    if (!language)
        return;
    r->compiled++;
    r->unknown_language |= !is_language(language);
    r->headers += ends_with(language, "-header");
    bool c = !strcmp(language, "c") || !strcmp(language, "cpp-output");
    r->c_text |= c || !strcmp(language, "c-header");
    r->c_file |= c && there;
}

static void read_words(struct reading *r, int count, char *const *words) {
    const char *given_language = NULL;
    for (int i = 0; i < count; i++) {
        const char *word = words[i], *value = NULL;
        bool whole;
        if (word[0] != '-' || !word[1]) {
            read_input(r, word, given_language ? given_language : language_of_suffix(word));
            continue;
        }
        const struct option *o = find_option(word, &whole);
        if (!o)
            continue;
        if (!whole)
            value = word + strlen(o->name);
        else if ((o->form == SEPARATE || o->form == EITHER) && i + 1 < count)
            value = words[++i];
        r->effects[o->effect] = true;
        if (o->effect == OUTPUT)
            r->output = value;
        if (o->effect == LANGUAGE)
            given_language = value && strcmp(value, "none") ? value : NULL;
    }
}

static bool only_the_compiler_can_tell(const struct reading *r, bool linking) {
    if (r->effects[FORWARD] || r->inputs == 0 || r->anonymous_input)
        return true;
    /* Compilers go on with the C files, some with each of these: kcc proper knows which do. */
    bool others = r->c_file && (r->effects[ASSEMBLY_ONLY] || r->effects[COMPILE_ONLY]) &&
                  !r->effects[DEPEND_ONLY] && !r->effects[PREPROCESS_ONLY] &&
                  !r->effects[SYNTAX_ONLY];
    if ((r->missing_input || r->unknown_language) && !others)
        return true;
    if (r->effects[OUTPUT] && (!r->output || !*r->output))
        return true;
    if (linking && r->headers && (r->headers < r->inputs || (r->effects[OUTPUT] && r->inputs > 1)))
        return true;
    if (linking)
        return r->effects[BITCODE];
    return r->compiled == 0 || (r->effects[OUTPUT] && r->compiled > 1);
}

bool kcc_has_own_words(int count, char *const *words) {
    for (int i = 0; i < count; i++)
        if ((words[i][0] == '@' && words[i][1]) || is_own_option(words[i]))
            return true;
    return false;
}

enum kcc_task kcc_task_of(int count, char *const *words) {
    if (kcc_has_own_words(count, words))
        return KCC_REWRITE;
    struct reading r = {.output = NULL};
    read_words(&r, count, words);
    bool linking = !r.effects[DEPEND_ONLY] && !r.effects[PREPROCESS_ONLY] &&
                   !r.effects[SYNTAX_ONLY] && !r.effects[ASSEMBLY_ONLY] && !r.effects[COMPILE_ONLY];
    if (only_the_compiler_can_tell(&r, linking))
        return KCC_AS_GIVEN;
    if (r.effects[DEPEND_ONLY] || r.effects[PREPROCESS_ONLY])
        return r.c_text ? KCC_PREPROCESS : KCC_AS_GIVEN;
    return r.effects[SYNTAX_ONLY] ? KCC_CHECK : KCC_REWRITE;
}
