/* The script of a client: what it says, one item after the other, drawn when the client comes. */
#include "tests/sim/script.h"

#include "tests/sim/mails.h"
#include "tests/sim/sim.h"
#include "tests/sim/world.h"

static unsigned next_tag;

struct script {
    struct item *items;
    unsigned count;
    bool is_helo;
};

void scripts_begin(void) {
    next_tag = 0;
}

static struct item *add(struct script *script, enum item_kind kind, unsigned tag) {
    struct item *item = &script->items[script->count++];
    *item = (struct item){.kind = kind, .tag = tag};
    return item;
}

static void add_mail(struct script *script) {
    unsigned lines = sim_once_in(8) ? 1 + sim_below(sim_once_in(8) ? 6000 : 800) : 1 + sim_below(30);
    bool is_chunked = sim_world.has_chunks && !script->is_helo && sim_once_in(2);
    add(script, MAIL, ++next_tag);
    for (unsigned i = sim_below(3) + 1; i > 0; i--)
        add(script, RCPT, ++next_tag)->is_unknown = i > 1 && sim_once_in(3);
    if (!is_chunked)
        add(script, DATA, 0);
    add(script, CONTENT, mail_new(lines))->is_chunked = is_chunked;
}

static void add_junk(struct script *script) {
    static const enum item_form forms[] = {LONG_LINE, HALF_LONG, BARE_LF, HTTP};
    add(script, JUNK, ++next_tag)->form = forms[sim_below(4)];
}

static void add_mails(struct script *script, bool has_junk) {
    bool is_bot = sim_once_in(sim_world.has_bots ? 2 : 6);
    for (unsigned mails = is_bot ? 0 : 1 + sim_below(3); mails > 0; mails--) {
        if (sim_once_in(5))
            add(script, NOOP, ++next_tag);
        if (has_junk && sim_once_in(2))
            add_junk(script);
        if (sim_once_in(8)) {
            add(script, MAIL, ++next_tag);
            add(script, RESET, 0);
        }
        add_mail(script);
    }
    add(script, QUIT, 0);
}

/* Nothing is said in clear behind STARTTLS: its reply ends the script. */
unsigned script_write(struct item items[static ITEMS_MAX], enum script_kind kind) {
    struct script script = {.items = items};
    script.is_helo = kind == SCRIPT_MAILS && sim_once_in(10);
    if (kind == SCRIPT_JUNK && sim_once_in(3))
        add_junk(&script);
    if (kind == SCRIPT_FLOOD)
        for (unsigned i = 0; i < 14; i++)
            add(&script, NOOP, ++next_tag)->form = HALF_LONG;
    add(&script, HELLO, 0)->form = script.is_helo ? HELO : PLAIN;
    if (kind == SCRIPT_TLS)
        add(&script, STARTTLS, 0);
    else
        add_mails(&script, kind == SCRIPT_JUNK);
    return script.count;
}
