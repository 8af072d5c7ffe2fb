//! What the hidden tests of a05-primes ask.

use autograder::prelude::*;

autograder::tests! {
    both_ends_of_the_range_count,
    more_workers_than_numbers,
    counts_a_large_range,
}

fn both_ends_of_the_range_count(program: &Program) {
    for (low, high, expected) in [("7", "7", 1), ("0", "1", 0), ("11", "23", 5), ("8", "10", 0)] {
        program.run([low, high, "2"]).assert().success().stdout(format!("primes: {expected}\n"));
    }
}

fn more_workers_than_numbers(program: &Program) {
    program.run(["2", "5", "8"]).assert().success().stdout("primes: 3\n");
}

fn counts_a_large_range(program: &Program) {
    for workers in ["1", "2", "3"] {
        program.run(["2", "300000", workers]).assert().success().stdout("primes: 25997\n");
    }
}
