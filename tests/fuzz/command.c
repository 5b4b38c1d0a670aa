/* Command lines of a client, of any octets. */
#include "lb/smtp/command.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *line = fuzz_copy(data, size);
    enum smtp_verb verb = command_verb(line, size);
    MUST(verb < VERBS_COUNT);
    uint64_t octets = 0;
    bool is_last = false;
    if (command_parse_bdat(line, size, &octets, &is_last)) {
        MUST(verb == VERB_BDAT);
        MUST(octets <= INT64_MAX);
    }
    free(line);
    return 0;
}
