/* What a feed may say, and that nobody without the key can say it, nor anybody twice. */
#include "lb/feedback/wire.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#define NONCE "0123456789abcdef0123456789abcdef"

static const struct feedback_key key = {.octets = "a key of sixteen and more", .length = 25};
static const struct feedback_key other = {.octets = "a key of sixteen and less", .length = 25};

static const char *exchange(const struct feedback_key *by, const char *nonce, uint64_t number, const char *address,
                            const char *word, uint64_t after, struct feedback_line *ret_line) {
    char line[FEEDBACK_LINE_MAX];
    feedback_line_write(by, nonce, number, address, word, line);
    cr_assert_eq(line[strlen(line) - 1], '\n');
    line[strlen(line) - 1] = '\0';
    return feedback_line_read(&key, NONCE, after, line, ret_line);
}

Test(feedback_wire, what_was_said_with_the_key_is_understood) {
    struct feedback_line line;
    char host[ADDRESS_TEXT_MAX];
    cr_assert_null(exchange(&key, NONCE, 7, "2001:db8::5", "virus", 6, &line));
    cr_assert(line.number == 7 && !line.is_hello && line.kind == EVIDENCE_FEEDBACK_VIRUS);
    cr_assert_str_eq(address_format_host(&line.client, host), "2001:db8::5");
    cr_assert_null(exchange(&key, NONCE, 7, "::ffff:192.0.2.1", "good", 6, &line));
    cr_assert_str_eq(address_format_host(&line.client, host), "192.0.2.1");
    cr_assert_null(exchange(&key, NONCE, 0, "-", "hello", 100, &line));
    cr_assert(line.is_hello);
}

Test(feedback_wire, another_key_nonce_or_number_and_anything_changed_are_refused) {
    struct feedback_line line = {.number = 99};
    char text[FEEDBACK_LINE_MAX];
    cr_assert_not_null(exchange(&other, NONCE, 7, "192.0.2.1", "good", 0, &line));
    cr_assert_not_null(exchange(&key, "1123456789abcdef0123456789abcdef", 7, "192.0.2.1", "good", 0, &line));
    cr_assert_not_null(exchange(&key, NONCE, 7, "192.0.2.1", "good", 7, &line), "it was there before");
    cr_assert_not_null(exchange(&key, NONCE, 8, "192.0.2.1", "nice", 7, &line));
    cr_assert_not_null(exchange(&key, NONCE, 8, "here", "good", 7, &line));
    feedback_line_write(&key, NONCE, 7, "192.0.2.1", "spam", text);
    text[strlen(text) - 1] = '\0';
    for (size_t i = 0; i < strlen(text); i++) {
        char changed[FEEDBACK_LINE_MAX];
        memcpy(changed, text, sizeof changed);
        changed[i] = changed[i] == '1' ? '2' : '1';
        cr_assert_not_null(feedback_line_read(&key, NONCE, 0, changed, &line), "octet %zu", i);
    }
    char rubbish[] = "a b c", none[] = "";
    cr_assert_not_null(feedback_line_read(&key, NONCE, 0, rubbish, &line));
    cr_assert_not_null(feedback_line_read(&key, NONCE, 0, none, &line));
    cr_assert_eq(line.number, 99, "untouched on failure");
}

static int read_key(const char *text, struct feedback_key *ret_key) {
    char path[] = "/tmp/postern-unit-key-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    FILE *errors = fopen("/dev/null", "we");
    int result = feedback_key_read(path, errors, ret_key);
    fclose(errors);
    unlink(path);
    return result;
}

Test(feedback_wire, a_key_is_the_file_without_its_line_end) {
    struct feedback_key read;
    char long_text[FEEDBACK_KEY_MAX + 2];
    cr_assert_eq(read_key("0123456789abcdef\r\n", &read), 0);
    cr_assert_eq(read.length, 16);
    cr_assert_lt(read_key("0123456789abcde\n", &read), 0);
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    cr_assert_lt(read_key(long_text, &read), 0);
    FILE *errors = fopen("/dev/null", "we");
    cr_assert_lt(feedback_key_read("/nonexistent", errors, &read), 0);
    fclose(errors);
}

Test(feedback_wire, a_key_holds_nothing_that_is_not_seen) {
    struct feedback_key read;
    cr_assert_eq(read_key("\xef\xbb\xbf"
                          "0123456789abcdef \t\r\n\n",
                          &read),
                 0);
    cr_assert(read.length == 16 && memcmp(read.octets, "0123456789abcdef", 16) == 0);
    cr_assert_lt(read_key("0123456789abcdef\xc2\xa0\n", &read), 0);
    cr_assert_lt(read_key("0123456789abcdef\n# the key\n", &read), 0);
    cr_assert_lt(read_key("01234567 89abcdef\n", &read), 0);
}

Test(feedback_wire, nonces_are_new) {
    char one[FEEDBACK_NONCE_LENGTH + 1], two[FEEDBACK_NONCE_LENGTH + 1];
    cr_assert(feedback_nonce_make(one) && feedback_nonce_make(two));
    cr_assert_eq(strlen(one), FEEDBACK_NONCE_LENGTH);
    cr_assert_str_neq(one, two);
}
