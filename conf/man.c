/* Prints the man page postern.ini(5), for `make man`. */
#include "conf/options.h"

int main(void) {
    options_print_man(stdout);
    return 0;
}
