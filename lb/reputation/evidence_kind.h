/* The kinds of evidence about a client, and the words by which feedback names some of them. Pure; stands on nothing, so
 * that posternctl has it without the rest of reputation. */
#ifndef POSTERN_REPUTATION_EVIDENCE_KIND_H
#define POSTERN_REPUTATION_EVIDENCE_KIND_H

#include <stdbool.h>

enum evidence_kind {
#define EVIDENCE(name, weight, is_good, is_mail, word, text) EVIDENCE_##name,
#include "lb/reputation/evidence.def"
#undef EVIDENCE
    EVIDENCE_KINDS
};

/* A row of evidence.def. */
struct evidence_row {
    float weight;
    bool is_good;
    bool is_mail;
    const char *word; /* of feedback; "" for none */
    const char *text;
};

extern const struct evidence_row evidence_rows[EVIDENCE_KINDS];

const char *evidence_text(enum evidence_kind kind);
/* The kind that this word of feedback stands for (good, ham, spam, virus, trap). Returns false when it is none. */
bool evidence_of_word(const char *word, enum evidence_kind *ret_kind);

#endif
