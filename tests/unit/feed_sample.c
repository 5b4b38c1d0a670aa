/* A mail log as Postfix, amavis, spamd and rspamd wrote it themselves (tests/samples/mail.log, by make-mail-log beside
 * it), most of it about mails whose sender, recipient, HELO, subject, Received or message id imitates a verdict. */
#include "lb/posternctl/feed_join.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define SAMPLE "tests/samples/mail.log"

/* "ADDRESS WORD;" of all outcomes, in the order in which they are told. */
static void read_sample(bool takes_sent, char *told, size_t size) {
    char line[8192], host[ADDRESS_TEXT_MAX];
    size_t length = 0;
    struct feed_join *join = feed_join_create(takes_sent);
    FILE *file = fopen(SAMPLE, "re");
    cr_assert(join != NULL && file != NULL, SAMPLE);
    told[0] = '\0';
    while (fgets(line, sizeof line, file) != NULL) {
        struct feed_event event;
        struct feed_outcome outcome;
        line[strcspn(line, "\n")] = '\0';
        feed_log_read(line, &event);
        if (feed_join_take(join, &event, &outcome) && length < size)
            length +=
                (size_t)snprintf(told + length, size - length, "%s %s;", address_format_host(&outcome.client, host),
                                 evidence_text(outcome.kind) + strlen("feedback "));
    }
    fclose(file);
    feed_join_destroy(join);
}

#define BEHIND_THE_QUEUE                                                                                               \
    "203.0.113.1 good;203.0.113.2 spam;203.0.113.3 virus;203.0.113.4 spam;203.0.113.5 spam;203.0.113.6 spam;"
#define BEFORE_THE_QUEUE "203.0.113.11 good;203.0.113.12 spam;203.0.113.13 spam;2001:db8::7 good;"
#define SPAMD            "203.0.113.21 good;203.0.113.22 spam;203.0.113.23 spam;203.0.113.24 spam;"
#define RSPAMD                                                                                                         \
    "203.0.113.31 good;203.0.113.32 spam;203.0.113.33 spam;203.0.113.34 spam;203.0.113.35 spam;203.0.113.36 spam;"     \
    "203.0.113.37 good;203.0.113.38 spam;"

Test(feed_sample, each_sender_gets_the_verdict_on_its_own_mail_and_nobody_another) {
    char told[2000];
    read_sample(false, told, sizeof told);
    cr_assert_str_eq(told, BEHIND_THE_QUEUE BEFORE_THE_QUEUE SPAMD RSPAMD);
}

Test(feed_sample, only_mail_that_no_filter_spoke_of_is_good_by_delivery) {
    char told[2000];
    read_sample(true, told, sizeof told);
    cr_assert_str_eq(told, BEHIND_THE_QUEUE BEFORE_THE_QUEUE SPAMD RSPAMD "203.0.113.39 good;");
}
