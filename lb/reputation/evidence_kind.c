/* The table of evidence.def, and the way from a word of feedback to its row. The score, the feeds' wire and posternctl
 * read it. Pure. */
#include "lb/reputation/evidence_kind.h"

#include <string.h>

const struct evidence_row evidence_rows[EVIDENCE_KINDS] = {
#define EVIDENCE(name, weight, is_good, is_mail, word, text) [EVIDENCE_##name] = {weight, is_good, is_mail, word, text},
#include "lb/reputation/evidence.def"
#undef EVIDENCE
};

const char *evidence_text(enum evidence_kind kind) {
    return evidence_rows[kind].text;
}

bool evidence_of_word(const char *word, enum evidence_kind *ret_kind) {
    for (unsigned kind = 0; kind < EVIDENCE_KINDS; kind++) {
        if (evidence_rows[kind].word[0] == '\0' || strcmp(evidence_rows[kind].word, word) != 0)
            continue;
        *ret_kind = (enum evidence_kind)kind;
        return true;
    }
    return false;
}
