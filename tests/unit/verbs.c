/* How a control line finds its verb. */
#include "lb/control/verbs.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *found(const char *line) {
    char copy[300], *words[8];
    snprintf(copy, sizeof copy, "%s", line);
    int count = verbs_split(copy, words, 8);
    const struct verb *verb = count < 0 ? NULL : verbs_find(words, (unsigned)count);
    return verb == NULL ? "none" : verb->words;
}

Test(verbs, are_found_by_all_their_words) {
    cr_assert_str_eq(found("show servers"), "show servers");
    cr_assert_str_eq(found("  show\t servers  json\r"), "show servers");
    cr_assert_str_eq(found("set server vm1 weight 3"), "set server");
    cr_assert_str_eq(found("shutdown sessions server vm1"), "shutdown sessions");
    cr_assert_str_eq(found("help"), "help");
}

Test(verbs, half_a_verb_or_more_than_one_word_too_many_is_none) {
    cr_assert_str_eq(found("show"), "none");
    cr_assert_str_eq(found("show server"), "none");
    cr_assert_str_eq(found("showservers"), "none");
    cr_assert_str_eq(found("Show servers"), "none");
    cr_assert_str_eq(found("sh servers"), "none");
    cr_assert_str_eq(found(""), "none");
    cr_assert_str_eq(found("show servers a b c d e f g"), "none", "more words than there is room for");
}

Test(verbs, each_has_a_help_text_and_bounds_that_make_sense) {
    for (size_t i = 0; i < verbs_count; i++) {
        cr_assert_gt(strlen(verbs[i].help), 3);
        cr_assert_leq(verbs[i].arguments_min, verbs[i].arguments_max);
        cr_assert_str_eq(found(verbs[i].words), verbs[i].words, "hidden by another verb");
    }
}
