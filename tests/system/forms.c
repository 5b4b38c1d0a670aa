/* The gate beside the Postfix configurations of conf/postfix, form by form (tests/samples/forms): what the VMs or the
 * strict host take is never answered with a 5xx by the gate, which would bounce it in an outage; and what the strict
 * host refuses for good is not taken by the gate. Recipients are known by the same list to all three. */
#include "postfix.h"
#include "talk.h"
#include "unbound.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMS_MAX 700u
#define AT_ONCE   10u /* sessions with each of the three */
#define HEAR_MS   30000u

enum target { VM, STRICT, GATE, TARGETS };
static const char *const target_names[TARGETS] = {"vm", "strict", "gate"};

struct form {
    char name[1100]; /* as the file has it */
    char octets[1100];
    size_t length;
};

/* The best to be hoped for after the last reply: 2, 4 or 5, and the reply that decided it. */
struct verdict {
    char class;
    char reply[160];
};

static struct scene scene;
static struct test_unbound unbound;
static struct test_sink inner, host;
static struct test_postfix postfixes[2];
static struct form forms[FORMS_MAX];
static unsigned forms_count;
static struct verdict verdicts[FORMS_MAX][TARGETS];
static struct talk talks[AT_ONCE][TARGETS];

/* Every name below sender.test exists. */
static const char dns[] = "  local-zone: \"sender.test.\" redirect\n  local-data: \"sender.test. A 192.0.2.80\"\n";

/* --- the forms --- */

static int digit_of(char octet) {
    return isdigit((unsigned char)octet) ? octet - '0' : tolower((unsigned char)octet) - 'a' + 10;
}

static void read_form(struct form *form, const char *line) {
    snprintf(form->name, sizeof form->name, "%s", line);
    for (; *line != '\0'; line++) {
        char octet = *line;
        if (octet == '\\') {
            line++;
            octet = *line == 't' ? '\t' : *line;
            if (*line == 'x') {
                octet = (char)(digit_of(line[1]) * 16 + digit_of(line[2]));
                line += 2;
            }
        }
        form->octets[form->length++] = octet;
    }
    memcpy(form->octets + form->length, "\r\n", 2);
    form->length += 2;
}

static void read_forms(void) {
    char line[1100];
    FILE *file = fopen("tests/samples/forms", "re");
    cr_assert_not_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        size_t length = strlen(line);
        cr_assert_eq(line[length - 1], '\n', "too long: %s", line);
        line[length - 1] = '\0';
        if (line[0] == '#')
            continue;
        cr_assert_lt(forms_count, FORMS_MAX);
        read_form(&forms[forms_count++], line);
    }
    fclose(file);
    cr_assert_geq(forms_count, 300);
}

/* --- the three --- */

/* Only what would make this test slow, or count its clients, is not as in the file. */
static void begin_postfix(enum target target) {
    struct reference_options options = {
        .main_cf = "smtpd_error_sleep_time=0 smtpd_client_connection_rate_limit=0 default_process_limit=100 "
                   "address_verify_poll_delay=1s",
        .inner_port = inner.port,
        .filter_port = inner.port,
        .resolver = unbound.address};
    postfix_begin_reference(&scene, &postfixes[target], target_names[target], &options);
}

static void begin(void) {
    read_forms();
    scene_begin(&scene, false);
    sink_begin(&scene, &inner, "inner", "");
    sink_begin(&scene, &host, "host", "");
    unbound_begin_as_system(&scene, &unbound, dns);
    begin_postfix(VM);
    begin_postfix(STRICT);
    free(shell(NULL,
               "cd %s && echo 198.18.0.0/15 > allow && echo example.test > domains && printf 'user@example.test\\n"
               "postmaster@example.test\\n' > recipients",
               scene.dir));
    postern_listen(&scene, "proxy-from = 127.0.0.0/8\n");
    postern_lines(&scene,
                  "[reputation]\nallow-file = %s/allow\n[dns]\nservers = 127.0.0.1:%u\n[gate]\npregreet-wait = "
                  "0\nrelay-domains-file = %s/domains\nrecipients-file = %s/recipients\n",
                  scene.dir, unbound.port, scene.dir, scene.dir);
    postern_tier(&scene, "strict", "admit = vetted\ngate = on\n");
    postern_backend(&scene, "bastion", host.port, "");
    postern_start(&scene);
    await_up(&scene, "bastion");
}

static void end(void) {
    postfix_end(&postfixes[VM]);
    postfix_end(&postfixes[STRICT]);
    scene_end(&scene);
}

TestSuite(forms, .init = begin, .fini = end, .timeout = 500);

static unsigned port_of(enum target target) {
    return target == GATE ? scene.port : postfixes[target].port;
}

/* --- a dialog --- */

#define HELLO     "EHLO mail.sender.test\r\n"
#define SENDER    "MAIL FROM:<a@sender.test>\r\n"
#define RECIPIENT "RCPT TO:<user@example.test>\r\n"
#define STEPS     3u

/* The form, in the place of the ordinary command. */
static const char *step_of(const struct form *form, unsigned step, size_t *ret_length) {
    static const char *const steps[STEPS] = {HELLO, SENDER, RECIPIENT};
    unsigned place = toupper((unsigned char)form->octets[0]) == 'M'   ? 1
                     : toupper((unsigned char)form->octets[0]) == 'R' ? 2
                                                                      : 0;
    *ret_length = step == place ? form->length : strlen(steps[step]);
    return step == place ? form->octets : steps[step];
}

/* Who says 221 unasked, or hangs up without a 421, has refused. */
static void judge(struct verdict *verdict, const char *reply) {
    bool is_reply = isdigit((unsigned char)reply[0]) && strncmp(reply, "221", 3) != 0;
    char class = is_reply ? reply[0] : verdict->class == '4' ? '4' : '5';
    if (class <= verdict->class)
        return;
    verdict->class = class;
    snprintf(verdict->reply, sizeof verdict->reply, "%.*s", (int)strcspn(reply, "\r\n"), reply);
}

/* So many forms with each of the three, in step with each other, since some replies take a second. */
static void say_batch(unsigned first, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        for (unsigned target = 0; target < TARGETS; target++) {
            char header[80];
            unsigned number = first + i;
            snprintf(header, sizeof header, "PROXY TCP4 198.18.%u.%u 192.0.2.1 40000 25\r\n", number / 200,
                     number % 200 + 1);
            talk_begin(&talks[i][target], NULL, port_of(target));
            talk_tell(&talks[i][target], header);
        }
    }
    for (unsigned step = 0; step <= STEPS; step++) {
        for (unsigned i = 0; i < count; i++) {
            for (unsigned target = 0; target < TARGETS; target++) {
                const char *reply = talk_hear(&talks[i][target], HEAR_MS);
                judge(&verdicts[first + i][target], reply);
                if (step == STEPS)
                    continue;
                size_t length;
                const char *said = step_of(&forms[first + i], step, &length);
                talk_say(&talks[i][target], said, length);
            }
        }
    }
    for (unsigned i = 0; i < count; i++)
        for (unsigned target = 0; target < TARGETS; target++)
            talk_end(&talks[i][target]);
}

static bool is_wrong(const struct verdict verdict[TARGETS]) {
    bool bounces = verdict[GATE].class == '5' && (verdict[VM].class != '5' || verdict[STRICT].class != '5');
    bool takes_too_much = verdict[GATE].class == '2' && verdict[STRICT].class == '5';
    return bounces || takes_too_much;
}

static void tell(unsigned form, const char *how) {
    fprintf(stderr, "%s: %.200s\n", how, forms[form].name);
    for (unsigned target = 0; target < TARGETS; target++)
        fprintf(stderr, "    %-6s %s\n", target_names[target], verdicts[form][target].reply);
}

Test(forms, what_the_site_takes_does_not_bounce_in_the_gate_and_what_it_refuses_is_not_taken) {
    unsigned wrong = 0, classes[3] = {0};
    for (unsigned first = 0; first < forms_count; first += AT_ONCE)
        say_batch(first, forms_count - first < AT_ONCE ? forms_count - first : AT_ONCE);
    for (unsigned form = 0; form < forms_count; form++) {
        const struct verdict *verdict = verdicts[form];
        classes[verdict[GATE].class == '2' ? 0 : verdict[GATE].class == '4' ? 1 : 2]++;
        if (is_wrong(verdict))
            tell(form, "wrong");
        else if (getenv("POSTERN_FORMS") != NULL && verdict[GATE].class != verdict[STRICT].class)
            tell(form, "differs");
        wrong += is_wrong(verdict);
    }
    cr_assert_eq(wrong, 0);
    cr_assert(classes[0] > 80 && classes[2] > 80, "%u taken, %u put off, %u refused", classes[0], classes[1],
              classes[2]);
}
