//! Which processes take part, and how often each is counted: a table.
//!
//! | offset in an entry | content |
//! | --- | --- |
//! | 0 | the process's id; 0 in an entry that nobody has taken yet |
//! | 1 | when it was started |
//! | 2 | its count |
//!
//! All of it is written under a lock. A process looks for its entry from the place on that its id
//! gives, up to the first entry that nobody has taken; so entries are given to others, but never freed
//! one by one. Who is killed while it takes an entry leaves one without a count, or none.

use super::super::word::{Identity, Ordering, Word, is_alive, this_process};

/// The words of an entry.
pub(crate) const ENTRY: usize = 3;

#[derive(Clone, Copy)]
pub(crate) struct Members<'a> {
    /// [`ENTRY`] words for each process that has room.
    pub(crate) words: &'a [Word],
}

#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    words: &'a [Word],
}

/// What became of the search for an entry.
pub(crate) enum Entered<'a> {
    /// The process's own.
    Own(Member<'a>),
    /// One that was another's, who had no count any more.
    Taken(Member<'a>),
    /// All have a count.
    Full,
}

impl<'a> Members<'a> {
    fn all(self) -> impl Iterator<Item = Member<'a>> {
        self.words.chunks_exact(ENTRY).map(|words| Member { words })
    }

    fn len(self) -> usize {
        self.words.len() / ENTRY
    }

    fn at(self, place: usize) -> Member<'a> {
        Member { words: &self.words[place * ENTRY..][..ENTRY] }
    }

    /// All, in the order in which a process looks for its own.
    fn each_from_the_place_of(self, process: Identity) -> impl Iterator<Item = Member<'a>> {
        let start = process.pid as usize % self.len();
        (start..self.len()).chain(0..start).map(move |place| self.at(place))
    }

    /// The entry of this process.
    pub(crate) fn enter(self) -> Entered<'a> {
        let me = this_process();
        let mut idle = None;
        for member in self.each_from_the_place_of(me) {
            let process = member.process();
            if process == me {
                return Entered::Own(member);
            }
            if process.pid == 0 {
                member.become_that_of(me);
                return Entered::Own(member);
            }
            if member.count() == 0 {
                idle.get_or_insert(member);
            }
        }
        match idle {
            Some(member) => {
                member.become_that_of(me);
                Entered::Taken(member)
            }
            None => Entered::Full,
        }
    }

    /// The entry of this process, if it has one with a count.
    pub(crate) fn own(self) -> Option<Member<'a>> {
        let me = this_process();
        self.each_from_the_place_of(me).find(|member| member.process() == me && member.count() != 0)
    }

    /// How many processes have an entry.
    pub(crate) fn processes(self) -> usize {
        self.all().filter(|member| member.process().pid != 0).count()
    }

    /// The sum of the counts.
    pub(crate) fn sum(self) -> u32 {
        self.all().map(Member::count).sum()
    }

    /// Those of processes that are gone and have a count of at least `least`.
    pub(crate) fn dead(self, least: u32) -> impl Iterator<Item = Member<'a>> {
        let me = this_process();
        self.all().filter(move |member| {
            let process = member.process();
            process.pid != 0 && member.count() >= least && process != me && !is_alive(process)
        })
    }

    /// Forgets every count.
    pub(crate) fn clear_counts(self) {
        self.all().for_each(|member| member.counter().store(0, Ordering::Relaxed));
    }

    /// Forgets everybody.
    pub(crate) fn clear(self) {
        self.clear_counts();
        for member in self.all() {
            member.words[0].store(0, Ordering::Relaxed);
        }
    }
}

impl<'a> Member<'a> {
    fn process(self) -> Identity {
        Identity {
            pid: self.words[0].load(Ordering::Relaxed),
            started: self.words[1].load(Ordering::Relaxed),
        }
    }

    fn become_that_of(self, process: Identity) {
        self.counter().store(0, Ordering::Relaxed);
        self.words[1].store(process.started, Ordering::Relaxed);
        self.words[0].store(process.pid, Ordering::Relaxed);
    }

    pub(crate) fn counter(self) -> &'a Word {
        &self.words[2]
    }

    fn count(self) -> u32 {
        self.counter().load(Ordering::Relaxed)
    }
}
