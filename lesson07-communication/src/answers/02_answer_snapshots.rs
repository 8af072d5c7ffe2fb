//! # Answer: which lists are possible (Process Communication and Barriers)
//!
//! Three processes count in one list, as in `manager_list`; this program takes their steps in every possible
//! order.
//!
//! ```console
//! $ cargo run -p lesson07-communication --bin answer_snapshots
//! [10, 9, 0] [10, 10, 0] [10, 10, 10] possible: true
//! [10, 10, 0] [9, 10, 0] [10, 10, 10] possible: true
//! [10, 3, 0] [10, 10, 10] [10, 7, 10] possible: true
//! [10, 3, 7] [10, 10, 5] [10, 10, 10] possible: false
//! [10, 9, 0] [9, 10, 0] [10, 10, 10] possible: false
//! [10, 0, 0] [0, 10, 0] [0, 0, 10] possible: false
//! possible in all: 3961 of 1771561
//! ```
//!
//! Observe: each list is one look at one list that only grows. So of any two, the one that was looked at
//! first is ahead nowhere: `[10, 9, 0]` and `[9, 10, 0]` would each have to be the first. And who looks last
//! sees three tens. In which order the lines come to the screen says nothing about who has looked first.
//! Try: let each process count to 1 only (`LAST`). How many are possible then? Find them on paper before you
//! run it. Then put in the lists that `manager_list` prints on your machine.

use std::collections::HashSet;

const LAST: u8 = 10;

type List = [u8; 3];
/// How far the three have counted, and what each of them has printed.
type State = (List, [Option<List>; 3]);

/// What can come next: one of the three adds 1 to its element, or prints the list when it has counted to the end.
fn next_of(state: State) -> impl Iterator<Item = State> {
    (0..3).filter_map(move |process| {
        let (mut list, mut printed) = state;
        if list[process] < LAST {
            list[process] += 1;
        } else if printed[process].is_none() {
            printed[process] = Some(list);
        } else {
            return None;
        }
        Some((list, printed))
    })
}

fn main() {
    let mut states = HashSet::new();
    let mut to_visit = vec![([0; 3], [None; 3])];
    while let Some(state) = to_visit.pop() {
        if states.insert(state) {
            to_visit.extend(next_of(state));
        }
    }
    for [a, b, c] in [
        [[10, 9, 0], [10, 10, 0], [10, 10, 10]],
        [[10, 10, 0], [9, 10, 0], [10, 10, 10]],
        [[10, 3, 0], [10, 10, 10], [10, 7, 10]],
        [[10, 3, 7], [10, 10, 5], [10, 10, 10]],
        [[10, 9, 0], [9, 10, 0], [10, 10, 10]],
        [[10, 0, 0], [0, 10, 0], [0, 0, 10]],
    ] {
        let is_possible = states.contains(&([10; 3], [Some(a), Some(b), Some(c)]));
        println!("{a:?} {b:?} {c:?} possible: {is_possible}");
    }
    let ends = states.iter().filter(|(_, printed)| printed.iter().all(Option::is_some)).count();
    println!("possible in all: {ends} of {}", u32::from(LAST + 1).pow(6));
}
