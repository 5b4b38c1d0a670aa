/* Command lines: the verbs, and BDAT's count, which decides where a mail ends. */
#include "lb/smtp/command.h"

#include <criterion/criterion.h>
#include <string.h>

static enum smtp_verb verb_of(const char *line) {
    return command_verb((const uint8_t *)line, strlen(line));
}

Test(command, verbs_are_known_in_any_case_and_only_whole) {
    cr_assert_eq(verb_of("EHLO mx\r\n"), VERB_EHLO);
    cr_assert_eq(verb_of("helo mx\r\n"), VERB_HELO);
    cr_assert_eq(verb_of("Mail FROM:<>\r\n"), VERB_MAIL);
    cr_assert_eq(verb_of("DATA\r\n"), VERB_DATA);
    cr_assert_eq(verb_of("DATA"), VERB_DATA);
    cr_assert_eq(verb_of("STARTTLS\r\n"), VERB_STARTTLS);
    cr_assert_eq(verb_of("NOOP\tx\r\n"), VERB_NOOP);
    cr_assert_eq(verb_of("DATAX\r\n"), VERB_OTHER);
    cr_assert_eq(verb_of("DAT"), VERB_OTHER);
    cr_assert_eq(verb_of(""), VERB_OTHER);
    cr_assert_eq(verb_of(" DATA\r\n"), VERB_OTHER);
    cr_assert_eq(verb_of("GET / HTTP/1.1\r\n"), VERB_OTHER);
}

static bool is_ambiguous(const char *line, size_t length) {
    return command_is_ambiguous((const uint8_t *)line, length);
}

#define AMBIGUOUS(line) is_ambiguous(line, sizeof line - 1)

Test(command, what_another_server_may_take_for_data_is_ambiguous) {
    cr_assert(AMBIGUOUS(" DATA\r\n"));
    cr_assert(AMBIGUOUS("\tDATA\r\n"));
    cr_assert(AMBIGUOUS("\vDATA\r\n"));
    cr_assert(AMBIGUOUS("\fBDAT 5 LAST\r\n"));
    cr_assert(AMBIGUOUS("DATA\v\r\n"));
    cr_assert(AMBIGUOUS("bdat\f5 LAST\r\n"));
    cr_assert(AMBIGUOUS("DATA\0x\r\n"));
    cr_assert(AMBIGUOUS("DATA\x1f\r\n")); /* Java's trim() */
    cr_assert(AMBIGUOUS("DATA\xc2\xa0\r\n"));
    cr_assert(AMBIGUOUS("\xa0"
                        "DATA\r\n"));
    cr_assert(AMBIGUOUS("\x7f"
                        "DATA\r\n"));
    cr_assert_not(AMBIGUOUS("DATA\r\n"));
    cr_assert_not(AMBIGUOUS("DATA"));
    cr_assert_not(AMBIGUOUS("NOOP\tx\r\n"));
    cr_assert_not(AMBIGUOUS("XDATA\v\r\n"));
    cr_assert_not(AMBIGUOUS("\r\n"));
    cr_assert_not(AMBIGUOUS(""));
}

static bool parse(const char *line, uint64_t *size, bool *last) {
    return command_parse_bdat((const uint8_t *)line, strlen(line), size, last);
}

Test(command, a_bdat_count_is_read_exactly_or_not_at_all) {
    uint64_t size = 1;
    bool last = false;
    cr_assert(parse("BDAT 0\r\n", &size, &last) && size == 0 && !last);
    cr_assert(parse("BDAT 1000 LAST\r\n", &size, &last) && size == 1000 && last);
    cr_assert(parse("bdat  86 last \r\n", &size, &last) && size == 86 && last);
    cr_assert(parse("BDAT 9223372036854775799\r\n", &size, &last) && size == INT64_MAX - 8);
    static const char *const wrong[] = {"BDAT\r\n",
                                        "BDAT x\r\n",
                                        "BDAT -1\r\n",
                                        "BDAT 1x\r\n",
                                        "BDAT 1 LASTX\r\n",
                                        "BDAT 1LAST\r\n",
                                        "BDAT 1 LAST 2\r\n",
                                        "BDAT 1 2\r\n",
                                        "BDAT 18446744073709551617\r\n",
                                        "BDAT 9223372036854775808\r\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_not(parse(wrong[i], &size, &last), "taken: %s", wrong[i]);
}

Test(command, what_stands_behind_a_verb_has_no_blanks_around_it) {
    static const struct {
        const char *line, *argument;
    } cases[] = {{"EHLO  a b \r\n", "a b"},
                 {"EHLO\r\n", ""},
                 {"EHLO \t\r\n", ""},
                 {"\r\n", ""},
                 {"MAIL FROM:<>\r\n", "FROM:<>"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t length;
        const char *argument = command_argument((const uint8_t *)cases[i].line, strlen(cases[i].line), &length);
        cr_assert(length == strlen(cases[i].argument) && memcmp(argument, cases[i].argument, length) == 0, "%zu", i);
    }
}
