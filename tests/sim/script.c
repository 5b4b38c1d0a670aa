/* What a client says, one item after the other. */
#include "tests/sim/script.h"

#include "tests/sim/mails.h"
#include "tests/sim/sim.h"
#include "tests/sim/world.h"

static unsigned next_tag;

struct script {
    struct item *items;
    unsigned count;
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
    unsigned lines = sim_once_in(8) ? 1 + sim_below(1500) : 1 + sim_below(30);
    bool is_chunked = sim_world.has_chunks && sim_once_in(2);
    add(script, MAIL, ++next_tag);
    for (unsigned i = sim_below(3) + 1; i > 0; i--)
        add(script, RCPT, ++next_tag)->is_unknown = i > 1 && sim_once_in(3);
    if (!is_chunked)
        add(script, DATA, 0);
    add(script, CONTENT, mail_new(lines))->is_chunked = is_chunked;
}

/* Nothing is said in clear behind STARTTLS: its reply ends the script. */
unsigned script_write(struct item items[static ITEMS_MAX], bool goes_tls) {
    struct script script = {.items = items};
    add(&script, HELLO, 0);
    if (goes_tls) {
        add(&script, STARTTLS, 0);
        return script.count;
    }
    for (unsigned mails = sim_once_in(6) ? 0 : 1 + sim_below(3); mails > 0; mails--) {
        if (sim_once_in(5))
            add(&script, NOOP, ++next_tag);
        if (sim_once_in(8)) {
            add(&script, MAIL, ++next_tag);
            add(&script, RESET, 0);
        }
        add_mail(&script);
    }
    add(&script, QUIT, 0);
    return script.count;
}
