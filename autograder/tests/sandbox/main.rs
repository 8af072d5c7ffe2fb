//! The sandbox: hostile programs in it, and what becomes of them.
//!
//! Each attack is a small program in C, built here, that says on stdout what it could do. The tests
//! are named after what must happen; numbers are those of the corpus of attacks.
//!
//! Whoever starts these tests as root runs all of them a second time as an ordinary user: see
//! [`ordinary_user`]. They take turns, so that each can look at the whole machine for what it has
//! left.

mod bench;
mod compiler;
mod endings;
mod honest;
mod limits;
mod ordinary_user;
mod tiers;
mod walls;
