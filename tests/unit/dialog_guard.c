/* A guarded session: where a server could take for content what is a command here, or the reverse, nothing is followed
 * any more. */
#include "lb/smtp/dialog_guard.h"
#include "lb/smtp/dialog.h"

#include <criterion/criterion.h>
#include <string.h>

static struct dialog dialog;

static void init(void) {
    dialog_init(&dialog);
    dialog_guard(&dialog);
}

TestSuite(dialog_guard, .init = init);

/* Turns "C…" and "S…", ended by NULL. Returns true while the session can be followed. */
static bool follows(const char *const *script) {
    init();
    for (; *script != NULL; script++) {
        const uint8_t *data = (const uint8_t *)*script + 1;
        size_t length = strlen(*script + 1);
        while (length > 0 && dialog_is_clear(&dialog)) {
            struct dialog_event event;
            size_t taken = (*script)[0] == 'C' ? dialog_feed_client(&dialog, data, length, &event)
                                               : dialog_feed_server(&dialog, data, length, &event);
            data += taken;
            length -= taken;
            if (event.kind == DIALOG_REPLY && (event.verb == VERB_EHLO || event.verb == VERB_HELO))
                dialog_note_chunking(&dialog, event.verb == VERB_EHLO && strstr(*script, "CHUNKING") != NULL);
        }
    }
    return dialog_is_clear(&dialog);
}

#define FOLLOWS(...) follows((const char *const[]){__VA_ARGS__, NULL})
#define GREETED      "S220 s\r\n", "CEHLO c\r\n", "S250-s\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
#define PLAIN        "S220 s\r\n", "CEHLO c\r\n", "S250-s\r\n250 PIPELINING\r\n"
#define RECIPIENT    "CMAIL FROM:<>\r\nRCPT TO:<a@b>\r\n", "S250 1\r\n250 2\r\n"

Test(dialog_guard, what_mail_clients_say_is_followed_to_its_end) {
    cr_assert(FOLLOWS(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Cx\r\n.\r\nQUIT\r\n", "S250 ok\r\n221 bye\r\n"));
    cr_assert(FOLLOWS(GREETED, RECIPIENT, "CBDAT 3\r\na\nbBDAT 2 LAST\r\nab", "S250 1\r\n250 2\r\n", "CNOOP\r\n"));
    cr_assert(FOLLOWS(GREETED, "CMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 0 LAST\r\n", "S250 1\r\n550 2\r\n554 3\r\n"));
    cr_assert(FOLLOWS(GREETED, "CAUTH PLAIN x\r\n", "S503 no\r\n", "CMAIL FROM:<>\r\n"));
    cr_assert(FOLLOWS(GREETED, "CAUTH LOGIN\r\n", "S334 x\r\n", "CDATA\r\n", "S334 y\r\n", "Cx\r\n", "S235 ok\r\n",
                      RECIPIENT));
    cr_assert(FOLLOWS(GREETED, "CXFOO\r\n", "S502 no\r\n", "CNOOP\r\nRSET\r\nVRFY a\r\n", "S250 1\r\n250 2\r\n"));
    cr_assert(FOLLOWS(GREETED, RECIPIENT, "CDATA\r\n", "S554 no\r\n", "CMAIL FROM:<>\r\n"));
}

Test(dialog_guard, nothing_is_guessed_behind_a_command_whose_reply_tells_what_follows) {
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CAUTH PLAIN AAAA\r\nDATA\r\n"));
    cr_assert_not(FOLLOWS(GREETED, "CAUTH LOGIN\r\n", "S334 x\r\n", "Cx\r\ny\r\n"));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CDATA\r\nx"));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CXEXCH50 4 2\r\nDATA\r\n"));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CBURL imap://x LAST\r\nMAIL FROM:<>\r\n"));
    cr_assert_not(FOLLOWS(GREETED, "CXCLIENT NAME=x\r\nEHLO c\r\n"));
}

Test(dialog_guard, a_server_that_asks_for_what_we_do_not_know_is_not_followed) {
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CXEXCH50 4 2\r\n", "S354 send\r\n"));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CNOOP\r\n", "S354 send\r\n"));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CDATA\r\n", "S334 send\r\n"));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CDATA\r\n", "S250 ok\r\n"));
    cr_assert_not(FOLLOWS(GREETED, "CXSTARTTLS\r\n", "S220 go\r\n"));
    cr_assert_not(FOLLOWS(GREETED, "S250 one too many\r\n"));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Cx\r\n", "S552 too much\r\n"));
    cr_assert(FOLLOWS(GREETED, "S550 5.7.1 go away\r\n"));
    cr_assert(FOLLOWS(GREETED, "S421 4.3.2 stopping\r\n"));
}

Test(dialog_guard, a_chunk_is_only_followed_where_every_server_counts_it_alike) {
    cr_assert_not(FOLLOWS(PLAIN, RECIPIENT, "CBDAT 4\r\n"));
    cr_assert_not(FOLLOWS("S220 s\r\n", "CHELO c\r\n", "S250 s CHUNKING\r\n", RECIPIENT, "CBDAT 4\r\n"));
    cr_assert_not(FOLLOWS(GREETED, "CEHLO c\r\nBDAT 4\r\n"));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CBDAT 4294967297\r\n"));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CBDAT 2147483648\r\n"));
    cr_assert(FOLLOWS(GREETED, RECIPIENT, "CBDAT 2147483647\r\n"));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CBDAT 010\r\n"));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CBDAT 0x10\r\n"));
    /* It may have refused the command alone. */
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CBDAT 9\r\nabc", "S503 no\r\n"));
    cr_assert(FOLLOWS(GREETED, RECIPIENT, "CBDAT 1\r\naBDAT 9\r\nabc", "S250 the first\r\n"));
}

Test(dialog_guard, a_line_that_a_server_may_cut_is_not_followed) {
    static char line[GUARDED_COMMAND_MAX + 3];
    line[0] = 'C';
    memset(line + 1, 'x', sizeof line - 2);
    memcpy(line + 1, "NOOP ", 5);
    cr_assert_not(FOLLOWS(GREETED, line));
    memcpy(line + sizeof line - 4, "\r\n", 3); /* exactly the bound */
    cr_assert(FOLLOWS(GREETED, line));
}

Test(dialog_guard, a_reply_of_any_length_leaves_it_on_guard) {
    static char reply[200000];
    memset(reply, 'x', sizeof reply - 1);
    memcpy(reply, "S550 ", 5);
    memcpy(reply + sizeof reply - 3, "\r\n", 2);
    cr_assert(FOLLOWS(GREETED, RECIPIENT, "CRCPT TO:<x>\r\n", reply, "CDATA\r\n", "S354 go\r\n", "Cx\r\n"));
    cr_assert(dialog_is_in_content(&dialog));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CRCPT TO:<x>\r\n", reply, "CDATA\r\n", "S354 go\r\n", "Cx\n.\r\n"));
}

Test(dialog_guard, it_begins_in_mid_session) {
    struct dialog_event event;
    dialog_init(&dialog);
    dialog_feed_server(&dialog, (const uint8_t *)"220 s\r\n", 7, &event);
    dialog_feed_client(&dialog, (const uint8_t *)"XFOO\r\n", 6, &event);
    dialog_guard(&dialog);
    dialog_feed_client(&dialog, (const uint8_t *)"DATA\r\n", 6, &event);
    cr_assert_eq(event.kind, DIALOG_UNTRUSTED);
}

Test(dialog_guard, where_a_host_may_have_taken_a_mail_that_is_known) {
    static const char mail[] = "CMAIL FROM:<> PRDR\r\nRCPT TO:<a@b>\r\n";
    cr_assert_not(
        FOLLOWS(GREETED, mail, "S250 1\r\n250 2\r\n", "CDATA\r\n", "S354 go\r\n", "Cx\r\n.\r\n", "S353 go\r\n"));
    cr_assert(dialog_may_hide_acceptance(&dialog));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Cx\r\n", "S250 taken\r\n"));
    cr_assert(dialog_may_hide_acceptance(&dialog), "it has seen an end of content");
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CDATA\r\n", "S354 go\r\n", "Cx\r\n", "S552 too much\r\n"));
    cr_assert_not(dialog_may_hide_acceptance(&dialog));
    cr_assert_not(FOLLOWS(GREETED, RECIPIENT, "CBDAT 2 LAST\r\nabMAIL\nx"));
    cr_assert(dialog_may_hide_acceptance(&dialog), "its final reply is still owed");
}
