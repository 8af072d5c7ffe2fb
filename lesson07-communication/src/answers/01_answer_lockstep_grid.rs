//! # Answer: a grid in lockstep (multiprocessing Module)
//!
//! A figure on a grid becomes four in four steps, with three processes that compute four rows each, in
//! lockstep.
//!
//! ```console
//! $ cargo run -p lesson07-communication --bin answer_lockstep_grid
//! ............ -> ............
//! ............ -> ......#.....
//! ............ -> .......#....
//! ............ -> .....###....
//! ............ -> ............
//! ......#..... -> ..#.......#.
//! .......#.... -> ...#.......#
//! .....###.... -> .###.....###
//! ............ -> ............
//! ............ -> ......#.....
//! ............ -> .......#....
//! ............ -> .....###....
//! ```
//!
//! Observe: what a cell becomes depends on its neighbours in the same step, and some of them belong to
//! another process. So each step has two meetings: nobody writes before all have read, and nobody reads
//! before all have written. One cell too early or too late, and the four figures are none.
//! Try: leave out both waits. Then leave out only the second, and run it some times: is it always wrong in
//! the same way? Then let the last process return after two steps: what do the others get, and what does the
//! program print?

use common::sync::Barrier;
use common::{Array, Process};

const SIDE: usize = 12;
const PART: usize = SIDE * SIDE / 3;

/// 1 where an odd number of the cell's four neighbours are 1; beyond each border is the opposite one.
fn next(grid: &[u8], cell: usize) -> u8 {
    let (row, column) = (cell / SIDE, cell % SIDE);
    let at = |row: usize, column: usize| grid[row % SIDE * SIDE + column % SIDE];
    let (above, below) = (at(row + SIDE - 1, column), at(row + 1, column));
    above ^ below ^ at(row, column + SIDE - 1) ^ at(row, column + 1)
}

fn compute((first, grid, barrier): (usize, Array<u8>, Barrier)) -> common::Result<()> {
    for _ in 0..4 {
        let before = grid.to_vec();
        barrier.wait()?; // All have read.
        let part: Vec<u8> = (first..first + PART).map(|cell| next(&before, cell)).collect();
        grid.copy_in(first, &part)?;
        barrier.wait()?; // All have written.
    }
    Ok(())
}

fn picture(row: &[u8]) -> String {
    row.iter().map(|cell| if *cell == 1 { '#' } else { '.' }).collect()
}

fn main() -> common::Result<()> {
    common::init();
    let (grid, barrier) = (Array::new(SIDE * SIDE)?, Barrier::new(3)?);
    for (row, column) in [(5, 6), (6, 7), (7, 5), (7, 6), (7, 7)] {
        grid.set(row * SIDE + column, 1)?;
    }
    let before = grid.to_vec();

    let part = |first| Process::new(compute, (first, grid.clone(), barrier.clone())).start();
    for process in [part(0)?, part(PART)?, part(2 * PART)?] {
        process.join()?;
    }
    for (before, after) in before.chunks(SIDE).zip(grid.to_vec().chunks(SIDE)) {
        println!("{} -> {}", picture(before), picture(after));
    }
    Ok(())
}
