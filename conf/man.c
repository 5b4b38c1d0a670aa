/* Prints the man page postern.ini(5), whole, in roff, for `make man`. It is a program of its own, not part of postern.
 */
#include "conf/describe.h"
#include "conf/options.h"

#include <stdio.h>

static void print_man_option(const struct option *option) {
    char allowed[200];
    option_describe(option, allowed, sizeof allowed);
    printf(".TP\n.B %s\n%s\nAllowed: %s.", option->name, option->help, allowed);
    if (option->flags & OPTION_REQUIRED && option->default_text[0] == '\0')
        fputs(" Must be given.", stdout);
    else if (!(option->flags & OPTION_INHERITS))
        printf(" Default: %s.", option->default_text[0] != '\0' ? option->default_text : "empty");
    fputs(option->flags & OPTION_NO_EFFECT ? "\nHas no effect in this version.\n" : "\n", stdout);
}

int main(void) {
    fputs(
        ".\\\" Made from conf/options.c by `make man`; do not edit.\n"
        ".TH POSTERN.INI 5 \"\" \"postern\"\n.SH NAME\npostern.ini \\- configuration of postern(8)\n"
        ".SH DESCRIPTION\nSections in brackets, options as\n.IR \"name = value\" ,\none a line. A line that begins "
        "with "
        "; or # is a comment, and so is what stands behind a blank and a ;, but not behind a #. An empty value means "
        "the default. A "
        "section or an option that is not known, given twice, or has a wrong value is an error; all are reported at "
        "once, by\n.BR \"postern \\-T\" .\n.PP\nThis file and those that it names are text in UTF-8, with lines that "
        "end "
        "with LF or CRLF; a byte order mark at the beginning means nothing. Outside of comments a character that is "
        "not seen or looks like another one (a no\\-break or zero\\-width space, a dash or full\\-width letter beyond "
        "ASCII) is an error, since it would be part of a name.\n",
        stdout);
    for (unsigned section = 0; section < SECTIONS_COUNT; section++) {
        const struct section_type *type = &section_types[section];
        printf(".SH [%s%s]\n%s\n", type->name, type->is_named ? " NAME" : "", type->help);
        for (size_t i = 0; i < options_count; i++)
            if (options[i].section == (enum section)section)
                print_man_option(&options[i]);
    }
    fputs(".SH SEE ALSO\n.BR postern (8),\n.BR posternctl (1)\n", stdout);
    return 0;
}
