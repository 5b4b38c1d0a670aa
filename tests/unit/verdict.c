/* What refusals say, in the words of the servers that say them: what a filter rejects counts against its sender, what a
 * full disk, a large mail, a loop or an old client causes does not. */
#include "lb/smtp/verdict.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Reads the reply as the observer does. */
static struct reply_parser parse(const char *reply) {
    struct reply_parser parser;
    enum reply_status status;
    reply_parser_init(&parser, 2048, UINT16_MAX);
    size_t taken = reply_parser_feed(&parser, (const uint8_t *)reply, strlen(reply), &status);
    cr_assert(status == REPLY_COMPLETE && taken == strlen(reply), "%s", reply);
    return parser;
}

static bool is_on_content(const char *text) {
    char reply[2000];
    snprintf(reply, sizeof reply, "%s\r\n", text);
    struct reply_parser parser = parse(reply);
    return verdict_is_on_content(parser.code, &parser.enhanced, (const uint8_t *)reply, strlen(reply));
}

static bool is_unknown(const char *text) {
    char reply[500];
    snprintf(reply, sizeof reply, "%s\r\n", text);
    struct reply_parser parser = parse(reply);
    return verdict_is_unknown_recipient(parser.code, &parser.enhanced, (const uint8_t *)reply, strlen(reply));
}

static const char *const of_content[] = {
    /* Postfix: header_checks, body_checks, milters, proxy filters (amavis, before the queue) */
    "550 5.7.1 message content rejected",
    "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example",
    "554 5.7.1 Spam message rejected",
    "554 5.7.1 Gtube pattern",
    "550 5.7.1 Blocked by SpamAssassin",
    "550 5.7.1 virus Eicar-Test-Signature detected by ClamAV - http://www.clamav.net",
    "554 5.7.1 id=09907-01 - Rejected by next-hop MTA on relaying, from MTA: spam",
    "550 5.7.1 rejected by DMARC policy for example.org",
    "554 5.7.0 Reject, id=10554-02 - spam",
    "554 5.7.0 Reject, id=10554-03 - INFECTED: Eicar-Test-Signature",
    "554 5.7.0 Bounce, id=10554-04 - BANNED: .exe,.exe-ms,virus.exe",
    "550 5.7.23 SPF fail",
    "550 5.7.20 No passing DKIM signature found",
    /* Exim, without and with enhanced codes */
    "550 This message scored 12.3 spam points.",
    "550 This message contains malware (Eicar-Test-Signature)",
    "550 This message contains a virus (Eicar-Test-Signature)",
    "550 Administrative prohibition",
    "554 Your message was classified as SPAM",
    "550-Message contains malware\r\n550 Administrative prohibition",
    "550-rejected because 192.0.2.1 is in a black list at zen.example\r\n550 see https://zen.example/",
    /* Sendmail, with milters */
    "550 5.7.1 Command rejected",
    "554 5.7.1 Command rejected",
    "553 5.0.0 We don't accept mail from spammers",
    "571 5.7.1 Delivery not authorized, message refused",
    /* Exchange */
    "550 5.7.1 Message rejected as spam by Content Filtering.",
    "550 5.7.1 Message rejected due to content restrictions",
    "550 5.7.1 Message rejected due to unacceptable attachments",
    "550 5.7.501 Service unavailable. Access denied, spam abuse detected",
    "550 5.7.509 Access denied, sending domain example.org does not pass DMARC verification and has a DMARC policy of "
    "reject.",
    /* OpenSMTPD, with filter-rspamd */
    "550 5.7.1 message rejected",
    "550 message rejected: spam",
    /* Haraka: spamassassin, clamd, rspamd, uribl */
    "550 spam score exceeded threshold",
    "550 Message is infected with Eicar-Test-Signature",
    "550 Detected as spam",
    "550 5.7.1 [192.0.2.1] URIBL: example.org listed in dbl.example",
    /* others */
    "554 5.7.1 The message from (<no.size.limit@example.org>) with the subject of (x) matches a profile the Internet "
    "community may consider spam.",
    "552-5.7.0 This message was blocked because its content presents a potential\r\n552 5.7.0 security issue.",
    "550-5.7.1 [192.0.2.1] Our system has detected that this message is\r\n550-5.7.1 likely unsolicited mail.\r\n"
    "550 5.7.1 To reduce the amount of it, this message has been blocked.",
};

static const char *const of_others[] = {
    /* Postfix */
    "552 5.3.4 Message size exceeds fixed limit",
    "552 5.3.4 Error: message file too big",
    "554 5.4.0 Error: too many hops",
    "554 5.5.1 Error: no valid recipients",
    "550 5.5.2 Error: bare <LF> received",
    "550 5.6.7 Must declare SMTPUTF8 to send unicode address",
    "554 5.6.3 Conversion required but not supported",
    "550 5.1.1 <spam@example.test>: Recipient address rejected: User unknown in local recipient table",
    "550 5.1.0 Address rejected as spam",
    "552 5.2.2 over quota",
    "554 5.3.0 Error: transaction failed",
    "530 5.7.0 Must issue a STARTTLS command first",
    /* Amavis: trouble with headers is no spam */
    "554 5.6.0 Reject, id=10554-05 - BAD_HEADER",
    /* Exim */
    "552 Message size exceeds maximum permitted",
    "550 Too many \"Received\" headers - suspected mail loop",
    "550 maximum allowed line length is 998 octets, got 1200",
    "550 header syntax",
    "550-syntax error in 'From' header when scanning for sender: missing or malformed local part\r\n550 header syntax",
    "552 A header line is too long; message rejected",
    "554 SMTP synchronization error",
    "550 Message rejected",
    "550 5.7.1 message size is over the limit of this policy",
    "550 TLS required by policy",
    "552 mailbox full",
    "552 Mailbox is full / Blocks limit exceeded / Inode limit exceeded",
    "552 Requested mail action aborted: exceeded storage allocation",
    /* Sendmail */
    "552 5.2.3 Message is too large; 10000000 bytes max",
    "552 5.3.4 Message exceeds maximum fixed size (10000000)",
    "554 5.4.6 Too many hops 26 (25 max): from <a@example.org> via mx.example.org, to <b@example.test>",
    "554 Too many hops 26 (25 max)",
    "554 5.6.1 Eight bit data not allowed",
    "501 5.6.0 Data format error",
    "554 5.3.5 config error: mail loops back to me (MX problem?)",
    "554 5.0.0 Service unavailable",
    /* Exchange */
    "552 5.3.4 Message size exceeds fixed maximum message size",
    "554 5.4.14 Hop count exceeded - possible mail loop ATTR34 [mx.example.test]",
    "554 Hop count exceeded - possible mail loop",
    "554 5.6.0 Invalid message content",
    "554 5.6.211 Invalid MIME Content: Single text value size (32779) exceeded allowed maximum (32768)",
    "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient",
    "550 5.7.1 Unable to relay",
    "530 5.7.57 Client not authenticated to send mail. Error: 535 5.7.3 Authentication unsuccessful",
    "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
    "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant and include a valid From address",
    "550 5.7.30 REQUIRETLS support required",
    "550 5.7.10 Encryption needed",
    "550 5.7.17 Mailbox owner has changed",
    "550 5.7.24 SPF validation error",
    /* OpenSMTPD */
    "500 5.0.0 Line too long",
    "552 5.3.4 Message too big",
    "554 5.4.6 Loop detected",
    "500 5.4.6 Routing error: Loop detected",
    "550 5.7.1 Message is not RFC 2822 compliant",
    "550 Message is not RFC 2822 compliant",
    /* Haraka */
    "552 Message too big!",
    "552 Too many received headers",
    "550 Message had non-RFC5322-compliant headers; required header missing: Date",
    "550 Required header 'From' missing",
    "521 Line too long",
    /* qmail */
    "552 sorry, that message size exceeds my databytes limit (#5.3.4)",
    "554 too many hops, this message is looping (#5.4.6)",
    "554 mail server permanently rejected message (#5.3.0)",
    /* trouble of the filter's, or nothing that could be understood */
    "554 5.7.1 Error: virus scanner is unavailable",
    "550 Unable to scan this message for viruses",
    "550 virus scanner error",
    "554 Transaction failed",
    "554 no",
    "550 not today",
    "451 4.7.1 Greylisted as spam",
    "450 4.7.1 spam",
    "421 4.7.0 spam",
    "250 2.7.0 spam, but taken",
    "354 spam",
};

Test(verdict, what_filters_reject_counts_against_its_sender) {
    for (size_t i = 0; i < sizeof of_content / sizeof of_content[0]; i++)
        cr_expect(is_on_content(of_content[i]), "no evidence: %s", of_content[i]);
}

Test(verdict, what_no_sender_is_to_blame_for_counts_against_nobody) {
    for (size_t i = 0; i < sizeof of_others / sizeof of_others[0]; i++)
        cr_expect_not(is_on_content(of_others[i]), "evidence: %s", of_others[i]);
}

Test(verdict, what_a_sender_chose_in_its_address_neither_saves_nor_hurts_it) {
    cr_expect(is_on_content("550 <message-too-large@example.org>: spam"));
    cr_expect_not(is_on_content("550 <spam@example.org>: message too large"));
    cr_expect_not(is_on_content("550 <virus@example.org>: no"));
    cr_expect(is_on_content("550 a < that never ends: spam"));
}

Test(verdict, words_are_whole_from_their_beginning) {
    cr_expect_not(is_on_content("550 clubexspam0"), "within another word");
    cr_expect(is_on_content("550 SPAMMY"));
    cr_expect(is_on_content("550 x-spam"));
}

/* Of a reply that was too long to be kept only the end is known, or nothing. */
Test(verdict, without_its_text_only_a_code_that_is_clear_counts) {
    struct enhanced_code policy = {5, 7, 1}, tls = {5, 7, 10}, none = {0, 0, 0}, media = {5, 6, 0};
    cr_expect(verdict_is_on_content(554, &policy, NULL, 0));
    cr_expect_not(verdict_is_on_content(554, &none, NULL, 0));
    cr_expect_not(verdict_is_on_content(554, &tls, NULL, 0));
    cr_expect_not(verdict_is_on_content(554, &media, NULL, 0));
}

Test(verdict, of_a_long_reply_no_more_is_read_than_is_said) {
    static char text[4000] = "550 ";
    struct enhanced_code none = {0, 0, 0};
    memset(text + 4, 'x', VERDICT_TEXT_MAX - 8);
    memcpy(text + VERDICT_TEXT_MAX - 4, " spam", 5);
    cr_expect_not(verdict_is_on_content(550, &none, (const uint8_t *)text, sizeof text));
    memcpy(text + VERDICT_TEXT_MAX - 6, " spam ", 6);
    cr_expect(verdict_is_on_content(550, &none, (const uint8_t *)text, sizeof text));
}

Test(verdict, unknown_recipients_are_those_that_are_not_there) {
    static const char *const unknown[] = {
        "550 5.1.1 <a@example.test>: Recipient address rejected: User unknown in relay recipient table",
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        "550 5.1.1 User Unknown",
        "550 Unrouteable address",
        "550 Unknown user",
        "550 No Such User Here",
        "550 <full.relay.spam@example.test>: Invalid recipient",
        "550 5.1.0 Invalid address",
        "550-Callout verification failed:\r\n550 550 no such user",
        "550 Requested action not taken: mailbox unavailable",
    };
    static const char *const not_unknown[] = {
        "250 2.1.5 Ok",
        "450 4.1.1 <a@example.test>: unverified address",
        "550 5.7.1 policy",
        "550 5.2.2 Mailbox full",
        "550 5.1.7 bad sender",
        "550 5.1.8 <a@example.org>: Sender address rejected: Domain not found",
        "550 relay not permitted",
        "550 Sender verify failed",
        "550-Verification failed for <a@example.org>\r\n550 Sender verify failed",
        "550 Administrative prohibition",
        "550-rejected because 192.0.2.1 is in a black list at zen.example\r\n550 see https://zen.example/",
        "550 Access denied - Invalid HELO name (See RFC2821 4.1.1.1)",
        "550 mailbox is full",
        "550 Too many recipients",
        "551 User not local",
        "554 5.1.1 x",
    };
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        cr_expect(is_unknown(unknown[i]), "%s", unknown[i]);
    for (size_t i = 0; i < sizeof not_unknown / sizeof not_unknown[0]; i++)
        cr_expect_not(is_unknown(not_unknown[i]), "%s", not_unknown[i]);
}
