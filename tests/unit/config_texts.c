/* Texts in postern.ini: that a typing mistake, a comment in the wrong place or a character that nobody sees is no part
 * of a name. */
#include "ini.h"

#include "conf/finish.h"
#include "conf/print.h"
#include "conf/reader.h"

#include <stdlib.h>
#include <string.h>

Test(config_texts, a_text_has_its_options_form) {
    static const char *const wrong[] = {
        "[global]\nhostname = mx.example.test # our name",
        "[global]\nhostname = 192.0.2.1",
        "[global]\nhostname = [192.0.2.1",
        "[global]\nhostname = [2001:db8::1]",
        "[global]\nhostname = [IPv6:192.0.2.1]",
        "[global]\nhostname = mx.example.test.",
        "[global]\nhostname = mx..test",
        "[global]\nhostname = -mx.test",
        "[global]\nhostname = \"mx.test\"",
        "[global]\nhostname = mx.test:25",
        "[global]\nhostname = m\xc3\xbcx.test",
        "[global]\nuser = post ern",
        "[global]\nuser = postern:mail",
        "[global]\nuser = 1000",
        "[global]\nstate-dir = var/lib/postern",
        "[global]\nstate-dir = /var/lib/postern # here",
        "[global]\nlog = standard",
        "[global]\nlog = ./log",
        "[global]\nlog = stderr, syslog",
        "[control]\nsocket = control.sock",
        "[control]\nsocket = \"/run/c\"",
        "[control]\nro-socket = ~/ro",
        "[reputation]\nallow-file = allow",
        "[reputation]\ndeny-file = /etc/deny list",
        "[gate]\nrelay-domains-file = hash:/etc/postfix/relay",
        "[gate]\nrecipients-file = ./r",
        "[gate]\naccess-file = a",
        "[gate]\nrecipient-delimiter = plus",
        "[gate]\nrecipient-delimiter = + # plus",
        "[gate]\nrecipient-delimiter = @",
        "[feedback]\nkey-file = key",
        "[dnslist d]\nanswers = 127.0.0.2\nzone = zen.example.org=127.0.0.2",
        "[dnslist d]\nanswers = 127.0.0.2\nzone = .zen.example.org",
        "[dnslist d]\nanswers = 127.0.0.2\nzone = a b",
        "[tier a]\ncheck-from = <check@example.test",
        "[tier a]\ncheck-from = check me",
        "[tier a]\ncheck-from = <a>b>",
        "[tier a]\ncheck-rcpt = <postmaster@example.test>",
        "[tier a]\ncheck-rcpt = postmaster@",
        "[tier a]\ncheck-rcpt = a@b@c",
        "[tier a]\ncheck-rcpt = postmaster@example.test # us",
        "[backend b]\ntier = a b",
    };
    char text[300];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(text, sizeof text, MINIMAL "%s\n", wrong[i]);
        assert_wrong_text(text, "is wrong; allowed: ");
    }
    assert_wrong_text(MINIMAL "[global]\nhostname = mx # x\n", "; behind a value a comment begins with ;");
}

Test(config_texts, a_text_of_its_options_form_is_taken) {
    static const char *const good[] = {
        "[global]\nhostname = mx_1.example.test ; our name",
        "[global]\nhostname = [192.0.2.1]",
        "[global]\nhostname = [IPv6:2001:db8::1]",
        "[global]\nhostname = mx",
        "[global]\nuser = _mail-1.x",
        "[global]\nlog = syslog",
        "[global]\nlog = /var/log/p#1",
        "[global]\nstate-dir =",
        "[reputation]\nallow-file = /etc/erlaubt-f\xc3\xbcr",
        "[gate]\nrecipient-delimiter = +-",
        "[gate]\nrecipient-delimiter =",
        "[dnslist d]\nanswers = 127.0.0.2\nzone = zen.example.org.",
    };
    char text[300];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, MINIMAL "%s\n", good[i]);
        assert_good_text(text);
    }
    static const char *const probes[] = {"check-from = <>",
                                         "check-from = <a+b@example.test>",
                                         "check-from = a@example.test",
                                         "check-rcpt = postmaster",
                                         "check-rcpt = postmaster@example.test",
                                         "check-rcpt = postmaster@[192.0.2.1]",
                                         "check-require = STARTTLS, X-A1"};
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++) {
        snprintf(text, sizeof text, LISTEN TIER "%s\n" BACKEND, probes[i]);
        assert_good_text(text);
    }
}

Test(config_texts, what_is_not_seen_is_no_part_of_a_name) {
    static const char *const wrong[] = {
        "[global]\nhostname = mx.example.test\xc2\xa0",
        "[global]\nuser = \xe2\x80\x8bpostern",
        "[global]\nhost\xc2\xadname = mx",
        "[\xef\xbc\xa7lobal]",
        "[reputation]\nallow-file = /etc/\xe3\x80\x80x",
        "[global]\nlog = /x\xff",
        "[global]\nlog = /x\x1b[0m",
        "\xef\xbb\xbf[global]",
    };
    char text[300];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(text, sizeof text, MINIMAL "%s\n", wrong[i]);
        assert_wrong_text(text, "has ");
    }
    assert_wrong_text("[global]\rhostname = mx\r" MINIMAL, "t.ini:1: a line end within");
    assert_wrong_text(MINIMAL "; old\xe2\x80\xa8[global]\n", "t.ini:7: a line end within");
    assert_wrong_text("\xff\xfe[", "t.ini:1: is UTF-16");
    assert_good_text(MINIMAL "# M\xfcller\n[global] ; \xc2\xa0\nuser = ; \xff\n");
}

Test(config_texts, words_of_commands_are_no_names_of_sections) {
    assert_wrong_text(MINIMAL "[tier auto]\n", "[tier auto]: needs a name");
    assert_wrong_text(MINIMAL "[backend json]\n", "[backend json]: needs a name");
    assert_wrong_text(MINIMAL "[backend -]\n", "[backend -]: needs a name");
}

Test(config_texts, what_a_probe_requires_are_keywords_that_it_hears) {
    assert_wrong_text(LISTEN "[tier primary]\ncheck-require = STARTTLS;\n" BACKEND, "check-require: \"STARTTLS;\"");
    assert_wrong_text(LISTEN "[tier primary]\ncheck-require = AUTH=LOGIN\n" BACKEND, "check-require: \"AUTH=LOGIN\"");
    assert_wrong_text(LISTEN "[tier primary]\ncheck = banner\ncheck-require = STARTTLS\n" BACKEND,
                      "check-require: needs check = ehlo");
}

Test(config_texts, a_wait_with_a_slip_in_its_unit_is_warned_of) {
    struct config *config = NULL;
    char *text = NULL;
    size_t length;
    static const char file[] = MINIMAL "[timeouts]\nclient = 5ms\nreply = 60s\n";
    cr_assert_eq(config_parse("t.ini", file, strlen(file), stderr, &config), 0);
    FILE *out = open_memstream(&text, &length);
    config_print(config, out);
    fclose(out);
    cr_assert_not_null(strstr(text, "client = 5ms ; warning: less than a second\n"), "%s", text);
    cr_assert_not_null(strstr(text, "reply = 1m\n"));
    free(text);
    config_free(config);
}
