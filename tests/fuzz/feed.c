/* Lines of a mail log, and lines of a feed, of any octets. */
#include "tests/fuzz/fuzz.h"

#include "lb/feedback/wire.h"
#include "lb/posternctl/feed_join.h"

#include <string.h>

static struct feed_join *join;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct feedback_key key = {.octets = "a key of sixteen", .length = 16};
    char *text = malloc(size + 1), *rest = text, *line;
    if (join == NULL)
        join = feed_join_create(true);
    MUST(text != NULL && join != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    while ((line = strsep(&rest, "\n")) != NULL) {
        struct feed_event event;
        struct feed_outcome outcome;
        struct feedback_line parsed;
        feed_log_read(line, &event);
        MUST(strlen(event.queue_id) <= FEED_ID_MAX);
        if (feed_join_take(join, &event, &outcome))
            MUST(outcome.client.sa.sa_family != 0);
        MUST(feedback_line_read(&key, "0123456789abcdef0123456789abcdef", 0, line, &parsed) != NULL);
    }
    free(text);
    return 0;
}
