//! What the public tests of a05-primes ask.

use autograder::prelude::*;

autograder::tests! {
    counts_the_primes_up_to_one_hundred,
    an_empty_range_has_no_primes,
    wrong_use_is_reported,
}

fn counts_the_primes_up_to_one_hundred(program: &Program) {
    program.run(["2", "100", "2"]).assert().success().stdout("primes: 25\n");
}

fn an_empty_range_has_no_primes(program: &Program) {
    program.run(["100", "2", "2"]).assert().success().stdout("primes: 0\n");
}

fn wrong_use_is_reported(program: &Program) {
    for arguments in [vec![], vec!["2", "100"], vec!["2", "many", "2"], vec!["2", "100", "0"]] {
        let message = predicate::str::is_empty().not();
        program.run(arguments).assert().code(2).stdout("").stderr(message);
    }
}
