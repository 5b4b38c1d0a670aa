/* Clean mail from the clients that a mail host meets, through the gate to a real Postfix: each kind of envelope, in
 * clear and inside TLS, arrives once. A client is a line of shell, a kind of envelope is a row. */
#include "postfix.h"
#include "unbound.h"

#include <stdlib.h>
#include <string.h>

static struct scene scene;
static struct test_unbound unbound;
static struct test_postfix host;

/* The strict host offers TLS, PIPELINING, CHUNKING and SMTPUTF8, and names what it takes in its log. */
static void begin(void) {
    char main_cf[400];
    int status;
    scene_begin(&scene, false);
    free(shell(
        &status,
        "cd %s && echo 127.0.0.1 > allow && echo example.test > domains &&"
        "printf 'Subject: hello\\nFrom: a@sender.test\\nTo: user@example.test\\n\\nhello\\n.\\n..dots\\n' > short &&"
        "(cat short; yes '. a line of a long mail' | head -n 15000) > long &&"
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=host.example.test -days 30 -keyout key.pem "
        "-out cert.pem 2>&1",
        scene.dir));
    cr_assert_eq(status, 0);
    snprintf(main_cf, sizeof main_cf,
             "smtpd_tls_security_level = may\nsmtpd_tls_loglevel = 1\nsmtpd_tls_cert_file = %s/cert.pem\n"
             "smtpd_tls_key_file = %s/key.pem\nsmtputf8_enable = yes\n",
             scene.dir, scene.dir);
    postfix_begin(&scene, &host, "host", true, main_cf);
    unbound_begin(&scene, &unbound, "  local-data: \"sender.test. 300 IN A 127.0.0.9\"\n");
    postern_begin(&scene,
                  "[reputation]\nmax-entries = 1000\nallow-file = %s/allow\n[dns]\nservers = 127.0.0.1:%u\n"
                  "[gate]\npregreet-wait = 20ms\nrelay-domains-file = %s/domains\n"
                  "[tier strict]\nadmit = vetted\nproxy = v2\ngate = on\n[backend host]\ntier = strict\n"
                  "address = 127.0.0.1:%u\n",
                  scene.dir, unbound.port, scene.dir, host.port);
    WAIT_FOR(log_has(&scene, "server host health starting -> up"), 10000);
}

static void end(void) {
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    postfix_end(&host);
    scene_end(&scene);
}

TestSuite(clients, .init = begin, .fini = end);

/* --- kinds of envelopes --- */

enum kind { PLAIN, NULL_SENDER, QUOTED, LITERAL, UTF8, LONG, KINDS };

static const struct {
    const char *name;
    const char *sender;
    const char *recipient; /* %s: the case's own word, by which the host's log is searched */
    const char *mail;      /* "long": several BDAT chunks, many reads */
} kinds[KINDS] = {
    [PLAIN] = {"plain", "a@sender.test", "%s@example.test", "short"},
    [NULL_SENDER] = {"null-sender", "", "%s@example.test", "short"},
    [QUOTED] = {"quoted", "\"john doe\"@sender.test", "\"%s..x\"@example.test", "short"},
    [LITERAL] = {"literal", "a@[127.0.0.9]", "%s@example.test", "short"},
    [UTF8] = {"utf8", "jürgen@sender.test", "%s-ü@example.test", "short"},
    [LONG] = {"long", "a@sender.test", "%s@example.test", "long"},
};

/* --- clients --- */

struct client {
    /* Sends the file $MAIL from $FROM to $TO by 127.0.0.1:$PORT; $TLS is clear or tls. In the scene's folder. */
    const char *command;
    unsigned lacks;      /* bits of kinds that it cannot say */
    const char *feature; /* what the host's log shows when it did what it is known for */
};

/* The word that a case's recipient bears: no other case's is the end of it. */
static void name_case(unsigned kind, bool tls, char word[64]) {
    snprintf(word, 64, "%s-%s", kinds[kind].name, tls ? "tls" : "clear");
}

static unsigned arrivals(const char *recipient) {
    char *count = shell(NULL, "grep -F 'to=<%s>' %s/mail.log | grep -c status=sent", recipient, host.dir);
    unsigned number = (unsigned)strtoul(count, NULL, 10);
    free(count);
    return number;
}

static void send_one(const struct client *client, unsigned kind, bool tls) {
    char word[64], recipient[128];
    int status;
    name_case(kind, tls, word);
    snprintf(recipient, sizeof recipient, kinds[kind].recipient, word);
    char *said =
        shell(&status, "cd %s; export PORT=%u MAIL=%s FROM='%s' TO='%s' TLS=%s; (%s) 2>&1", scene.dir, scene.port,
              kinds[kind].mail, kinds[kind].sender, recipient, tls ? "tls" : "clear", client->command);
    cr_expect(status == 0, "%s: %s", word, said);
    uint64_t limit = now_ms() + 15000;
    while (status == 0 && arrivals(recipient) == 0 && now_ms() < limit)
        pause_ms(20);
    char *log = shell(NULL, "grep -aE 'to=<|reject' %s/mail.log | tail -n 1", host.dir);
    cr_expect(arrivals(recipient) == 1, "%s came %u times; the client: %s; the host's last line: %s", word,
              arrivals(recipient), said, log);
    free(log);
    free(said);
}

/* Senders arrive as they were given: a mail of each way for each kind that has this one. */
static void expect_sender(const struct client *client, const char *sender) {
    char text[128];
    unsigned wanted = 0;
    for (unsigned kind = 0; kind < KINDS; kind++)
        if (strcmp(kinds[kind].sender, sender) == 0 && !(client->lacks & 1u << kind))
            wanted += 2;
    snprintf(text, sizeof text, "from=<%s>, size=", sender);
    cr_expect_eq(postfix_log_count(&host, text), wanted, "%s", text);
}

/* One mail in each session. */
static void expect_all_kinds(const struct client *client) {
    unsigned sent = 0;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (unsigned tls = 0; tls < 2 && !(client->lacks & 1u << kind); tls++) {
            send_one(client, kind, tls);
            sent++;
        }
    }
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 10000);
    cr_assert_eq(postfix_log_count(&host, "status=sent"), sent, "once each");
    for (unsigned kind = 0; kind < KINDS; kind++)
        expect_sender(client, kinds[kind].sender);
    cr_assert_eq(postfix_log_count(&host, "TLS connection established from"), sent / 2);
    cr_assert(postfix_log_count(&host, client->feature) >= sent, "%s", client->feature);
    char *passed = shell(NULL, "grep -c 'takes over from the gate' %s/postern.log", scene.dir);
    cr_assert_eq(strtoul(passed, NULL, 10), sent);
    free(passed);
    cr_assert_not(log_has(&scene, " rule="), "a rule of the gate refused it");
}

#define UTF8_BIT (1u << UTF8)
#define DATA     " data=1"

Test(clients, swaks_grouping_its_commands) {
    expect_all_kinds(&(struct client){"tls=; [ $TLS = tls ] && tls=--tls\n"
                                      "swaks --server 127.0.0.1 --port $PORT --ehlo client.sender.test --pipeline $tls "
                                      "--from \"${FROM:-<>}\" --to \"$TO\" --data @$MAIL",
                                      .lacks = UTF8_BIT, .feature = DATA});
}

Test(clients, curl) {
    expect_all_kinds(&(struct client){"tls=; [ $TLS = tls ] && tls='--ssl-reqd --insecure'\n"
                                      "curl --silent --show-error $tls smtp://127.0.0.1:$PORT/client.sender.test "
                                      "--mail-from \"$FROM\" --mail-rcpt \"$TO\" --crlf --upload-file $MAIL",
                                      .feature = DATA});
}

/* It says no SMTPUTF8: in clear, the gate takes it at its word. */
Test(clients, msmtp) {
    expect_all_kinds(&(struct client){"tls=off; [ $TLS = tls ] && tls=on\n"
                                      "msmtp -C /dev/null --host=127.0.0.1 --port=$PORT --domain=client.sender.test "
                                      "--tls=$tls --tls-starttls=on --tls-certcheck=off --from=\"$FROM\" -- \"<$TO>\" "
                                      "<$MAIL",
                                      .lacks = UTF8_BIT, .feature = DATA});
}

/* send_message() writes the line ends of SMTP; sendmail() with octets leaves them as they are. */
Test(clients, python) {
    expect_all_kinds(
        &(struct client){"python3 - <<'EOF'\n"
                         "import email, email.policy, os, smtplib, ssl\n"
                         "mail = email.message_from_file(open(os.environ['MAIL']), policy=email.policy.SMTP)\n"
                         "client = smtplib.SMTP('127.0.0.1', int(os.environ['PORT']), 'client.sender.test')\n"
                         "if os.environ['TLS'] == 'tls':\n"
                         "    client.starttls(context=ssl._create_unverified_context())\n"
                         "client.send_message(mail, os.environ['FROM'], [os.environ['TO']])\n"
                         "client.quit()\n"
                         "EOF\n",
                         .feature = DATA});
}

Test(clients, nodemailer) {
    expect_all_kinds(&(struct client){
        "export NODE_PATH=/usr/share/nodejs\n"
        "node - <<'EOF'\n"
        "const { PORT, FROM, TO, TLS, MAIL } = process.env;\n"
        "require('nodemailer').createTransport({\n"
        "    host: '127.0.0.1', port: PORT, name: 'client.sender.test', tls: { rejectUnauthorized: false },\n"
        "    requireTLS: TLS === 'tls', ignoreTLS: TLS !== 'tls',\n"
        "}).sendMail({ envelope: { from: FROM && { address: FROM }, to: { address: TO } }, raw: { path: MAIL } });\n"
        "EOF\n",
        .feature = DATA});
}

/* --- mail hosts that send --- */

/* A sender of its own for each way: what its smtp(8) does about TLS is one setting. */
Test(clients, postfix) {
    struct test_postfix clear, tls;
    char main_cf[200];
    snprintf(main_cf, sizeof main_cf, "relay_transport = smtp:[127.0.0.1]:%u\nsmtp_tls_security_level = none\n",
             scene.port);
    postfix_begin(&scene, &clear, "clear", false, main_cf);
    snprintf(main_cf, sizeof main_cf, "relay_transport = smtp:[127.0.0.1]:%u\nsmtp_tls_security_level = encrypt\n",
             scene.port);
    postfix_begin(&scene, &tls, "tls", false, main_cf);
    expect_all_kinds(&(struct client){"sendmail -C $PWD/$TLS -i -f \"$FROM\" -- \"$TO\" <$MAIL", .feature = DATA});
    postfix_end(&clear);
    postfix_end(&tls);
}

/* Unpacked by tests/exim. Its user need not exist: nss_wrapper says that it does. */
static void make_exim(void) {
    int status;
    char *said =
        shell(&status,
              "cp build/peers/exim4 %s/ && cd %s && mkdir exim && (echo 'Debian-exim:x:65534:65534::/:/bin/false'; "
              "cat /etc/passwd) >passwd && (echo 'Debian-exim:x:65534:'; cat /etc/group) >group && "
              "for tls in clear tls; do cat >exim-$tls.conf <<EOF\n"
              "primary_hostname = exim.sender.test\nexim_path = $PWD/exim4\nspool_directory = $PWD/exim\n"
              "log_file_path = $PWD/exim/%%s.log\ndeliver_drop_privilege = true\n"
              "allow_domain_literals\nkeep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP\n"
              "begin routers\nall:\n  driver = manualroute\n  transport = out\n  route_list = * 127.0.0.1\n"
              "  self = send\nbegin transports\nout:\n  driver = smtp\n  port = %u\n"
              "  $([ $tls = tls ] && echo hosts_require_tls || echo hosts_avoid_tls) = *\n"
              "  tls_verify_certificates =\nEOF\ndone; chmod 755 .; chown -R 65534:65534 exim 2>&1",
              scene.dir, scene.dir, scene.port);
    cr_assert(status == 0, "%s (tests/exim puts Exim in build/peers)", said);
    free(said);
}

Test(clients, exim_in_chunks) {
    make_exim();
    expect_all_kinds(&(struct client){"export LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD=$PWD/passwd "
                                      "NSS_WRAPPER_GROUP=$PWD/group\n"
                                      "./exim4 -C $PWD/exim-$TLS.conf -odf -i -f \"<$FROM>\" -- \"$TO\" <$MAIL; "
                                      "cat exim/main.log",
                                      .feature = " bdat="});
}
