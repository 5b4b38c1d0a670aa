/* Clean mail from the clients that a mail host meets, through the gate to real Postfix with the reference configuration
 * of the strict host (conf/postfix/strict), and from there to an inner server: each kind of envelope, in clear and
 * inside TLS, arrives once. A client is a line of shell, a kind of envelope is a row. */
#include "exim.h"
#include "postfix.h"
#include "unbound.h"

#include <stdlib.h>
#include <string.h>

static struct scene scene;
static struct test_unbound unbound;
static struct test_postfix host, inner;

static const char dns[] = "  local-data: \"sender.test. A 127.0.0.9\"\n";

static void begin(void) {
    int status;
    struct reference_options options = {.recipients = "@example.test OK\n"};
    scene_begin(&scene, false);
    free(shell(
        &status,
        "cd %s && echo 127.0.0.1 > allow && echo example.test > domains &&"
        "printf 'Subject: hello\\nFrom: a@sender.test\\nTo: user@example.test\\nMIME-Version: 1.0\\nContent-Type: "
        "text/plain; charset=utf-8\\nContent-Transfer-Encoding: 8bit\\n\\ngrüße\\n.\\n..dots\\n' > short &&"
        "(cat short; yes '. a line of a long mail' | head -n 15000) > long",
        scene.dir));
    cr_assert_eq(status, 0);
    unbound_begin_as_system(&scene, &unbound, dns);
    postfix_begin(&scene, &inner, "inner", false, "");
    options.inner_port = options.filter_port = inner.port;
    options.resolver = unbound.address;
    postfix_begin_reference(&scene, &host, "strict", &options);
    postern_lines(&scene,
                  "[reputation]\nmax-entries = 1000\nallow-file = %s/allow\n[dns]\nservers = "
                  "127.0.0.1:%u\n[gate]\npregreet-wait = 20ms\nrelay-domains-file = %s/domains\n",
                  scene.dir, unbound.port, scene.dir);
    postern_tier(&scene, "strict", "admit = vetted\nproxy = v2\ngate = on\n");
    postern_backend(&scene, "host", host.port, "");
    postern_start(&scene);
    await_up(&scene, "host");
}

static void end(void) {
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    postfix_end(&host);
    postfix_end(&inner);
    scene_end(&scene);
}

TestSuite(clients, .init = begin, .fini = end, .timeout = 240);

/* --- kinds of envelopes --- */

enum kind { PLAIN, NULL_SENDER, QUOTED, LITERAL, UTF8, LONG, KINDS };

/* Few recipients, since the host asks the inner server about each before it takes the first mail; the sender tells
 * cases apart: %s is the case's own word. */
static const struct {
    const char *name;
    const char *sender;
    const char *recipient;
    const char *mail; /* "long": several BDAT chunks, many reads */
} kinds[KINDS] = {
    [PLAIN] = {"plain", "%s@sender.test", "user@example.test", "short"},
    [NULL_SENDER] = {"null", "", "null@example.test", "short"},
    [QUOTED] = {"quoted", "\"%s x\"@sender.test", "\"user..x\"@example.test", "short"},
    [LITERAL] = {"literal", "%s@[127.0.0.9]", "user@example.test", "short"},
    [UTF8] = {"utf8", "%s-ü@sender.test", "ü@example.test", "short"},
    [LONG] = {"long", "%s@sender.test", "user@example.test", "long"},
};

/* --- clients --- */

struct client {
    const char *name;
    /* Sends the file $MAIL from $FROM to $TO by 127.0.0.1:$PORT; $TLS is clear or tls. In the scene's folder. */
    const char *command;
    unsigned lacks;      /* bits of kinds that it cannot say */
    const char *feature; /* what the host's log shows when it did what it is known for */
};

/* What the inner server's log says of a mail in its queue, and of one delivered. */
static unsigned arrivals(const char *sender) {
    char text[200];
    snprintf(text, sizeof text, "from=<%s>, size=", sender);
    return postfix_log_count(&inner, text);
}

static unsigned deliveries(const char *recipient) {
    char text[200];
    snprintf(text, sizeof text, "to=<%s>, relay=none", recipient);
    return postfix_log_count(&inner, text);
}

static void send_one(const struct client *client, unsigned kind, bool tls) {
    char word[64], sender[128];
    int status;
    snprintf(word, sizeof word, "%s-%s-%s", client->name, kinds[kind].name, tls ? "tls" : "clear");
    snprintf(sender, sizeof sender, kinds[kind].sender, word);
    unsigned before = arrivals(sender);
    char *said =
        shell(&status, "cd %s; export PORT=%u MAIL=%s FROM='%s' TO='%s' TLS=%s; (%s) 2>&1", scene.dir, scene.port,
              kinds[kind].mail, sender, kinds[kind].recipient, tls ? "tls" : "clear", client->command);
    cr_expect(status == 0, "%s: %s", word, said);
    uint64_t limit = now_ms() + 15000;
    while (status == 0 && arrivals(sender) == before && now_ms() < limit)
        pause_ms(20);
    char *log = shell(NULL, "grep -aE 'proxy-|reject' %s/mail.log | tail -n 1", host.dir);
    cr_expect(arrivals(sender) == before + 1, "%s came %u times; the client: %s; the host's last line: %s", word,
              arrivals(sender) - before, said, log);
    free(log);
    free(said);
}

struct sent {
    unsigned mails;
    unsigned to[KINDS]; /* by the first kind that has this recipient */
};

static unsigned same_recipient(unsigned kind) {
    unsigned first = 0;
    while (strcmp(kinds[first].recipient, kinds[kind].recipient) != 0)
        first++;
    return first;
}

/* Each kind both ways, one mail in each session. */
static void send_all(const struct client *client, struct sent *sent) {
    unsigned featured = postfix_log_count(&host, client->feature), count = 0;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (unsigned tls = 0; tls < 2 && !(client->lacks & 1u << kind); tls++) {
            send_one(client, kind, tls);
            sent->to[same_recipient(kind)]++;
            count++;
        }
    }
    sent->mails += count;
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 10000);
    WAIT_FOR(postfix_log_count(&host, client->feature) >= featured + count, 10000);
}

/* None twice, half of them inside TLS, all by way of the gate. */
static void expect_once_each(const struct sent *sent) {
    WAIT_FOR(postfix_log_count(&inner, "status=sent (example.test)") >= sent->mails, 10000);
    cr_assert_eq(postfix_log_count(&host, "proxy-accept: END-OF-MESSAGE"), sent->mails);
    cr_assert_eq(postfix_log_count(&host, "TLS connection established from"), sent->mails / 2);
    for (unsigned kind = 0; kind < KINDS; kind++)
        if (same_recipient(kind) == kind)
            cr_expect_eq(deliveries(kinds[kind].recipient), sent->to[kind], "%s: %u", kinds[kind].recipient,
                         deliveries(kinds[kind].recipient));
    char *passed = shell(NULL, "grep -c 'takes over from the gate' %s/postern.log", scene.dir);
    cr_assert_eq(strtoul(passed, NULL, 10), sent->mails);
    free(passed);
    cr_assert_not(log_has_by_now(&scene, " rule="), "a rule of the gate refused one");
}

#define UTF8_BIT (1u << UTF8)
#define DATA     " data=1"

static const struct client programs[] = {
    {"swaks",
     "tls=; [ $TLS = tls ] && tls=--tls\n"
     "swaks --server 127.0.0.1 --port $PORT --ehlo client.sender.test --pipeline $tls "
     "--from \"${FROM:-<>}\" --to \"$TO\" --data @$MAIL",
     .lacks = UTF8_BIT, .feature = DATA},
    {"curl",
     "tls=; [ $TLS = tls ] && tls='--ssl-reqd --insecure'\n"
     "curl --silent --show-error $tls smtp://127.0.0.1:$PORT/client.sender.test "
     "--mail-from \"$FROM\" --mail-rcpt \"$TO\" --crlf --upload-file $MAIL",
     .feature = DATA},
    /* It says no SMTPUTF8, and is taken all the same, as Postfix does. */
    {"msmtp",
     "tls=off; [ $TLS = tls ] && tls=on\n"
     "msmtp -C /dev/null --host=127.0.0.1 --port=$PORT --domain=client.sender.test "
     "--tls=$tls --tls-starttls=on --tls-certcheck=off --from=\"$FROM\" -- \"<$TO>\" "
     "<$MAIL",
     .feature = DATA},
    /* send_message() writes the line ends of SMTP; sendmail() with octets leaves them as they are. */
    {"python",
     "python3 - <<'EOF'\n"
     "import email, email.policy, os, smtplib, ssl\n"
     "mail = email.message_from_binary_file(open(os.environ['MAIL'], 'rb'), policy=email.policy.SMTP)\n"
     "client = smtplib.SMTP('127.0.0.1', int(os.environ['PORT']), 'client.sender.test')\n"
     "if os.environ['TLS'] == 'tls':\n"
     "    client.starttls(context=ssl._create_unverified_context())\n"
     "client.send_message(mail, os.environ['FROM'], [os.environ['TO']])\n"
     "client.quit()\n"
     "EOF\n",
     .feature = DATA},
    {"nodemailer",
     "export NODE_PATH=/usr/share/nodejs\n"
     "node - <<'EOF'\n"
     "const { PORT, FROM, TO, TLS, MAIL } = process.env;\n"
     "require('nodemailer').createTransport({\n"
     "    host: '127.0.0.1', port: PORT, name: 'client.sender.test', tls: { rejectUnauthorized: false },\n"
     "    requireTLS: TLS === 'tls', ignoreTLS: TLS !== 'tls',\n"
     "}).sendMail({ envelope: { from: FROM && { address: FROM }, to: { address: TO } }, raw: { path: MAIL } });\n"
     "EOF\n",
     .feature = DATA},
};

Test(clients, clean_mail_of_programs_passes_the_gate) {
    struct sent sent = {0};
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
        send_all(&programs[i], &sent);
    expect_once_each(&sent);
}

/* --- mail hosts that send --- */

/* Postfix: a sender of its own for each way, since what its smtp(8) does about TLS is one setting. */
static void begin_senders(struct test_postfix senders[2]) {
    static const char *const names[2] = {"clear", "tls"}, *const levels[2] = {"none", "encrypt"};
    for (unsigned i = 0; i < 2; i++) {
        char main_cf[200];
        snprintf(main_cf, sizeof main_cf, "relay_transport = smtp:[127.0.0.1]:%u\nsmtp_tls_security_level = %s\n",
                 scene.port, levels[i]);
        postfix_begin(&scene, &senders[i], names[i], false, main_cf);
    }
}

static void begin_exim(void) {
    exim_begin(&scene);
    exim_write_sender(&scene, "exim-clear.conf", "allow_domain_literals\n", "  hosts_avoid_tls = *\n");
    exim_write_sender(&scene, "exim-tls.conf", "allow_domain_literals\n",
                      "  hosts_require_tls = *\n  tls_verify_certificates =\n");
}

static const struct client hosts[] = {
    {"postfix", "sendmail -C $PWD/$TLS -i -f \"$FROM\" -- \"$TO\" <$MAIL", .feature = DATA},
    {"exim", EXIM_RUN "exim-$TLS.conf -odf -i -f \"<$FROM>\" -- \"$TO\" <$MAIL; cat exim/main.log",
     .feature = " bdat="},
};

Test(clients, clean_mail_of_mail_hosts_passes_the_gate) {
    struct test_postfix senders[2];
    struct sent sent = {0};
    begin_senders(senders);
    begin_exim();
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        send_all(&hosts[i], &sent);
    expect_once_each(&sent);
    postfix_end(&senders[0]);
    postfix_end(&senders[1]);
}
