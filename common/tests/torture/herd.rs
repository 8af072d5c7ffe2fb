//! A herd: members, each a process, that play with one primitive for ever, and their keeper, who kills
//! some of them at random instants, watches that the others go on, and puts new ones in their place.
//!
//! A member breaks no rule of the [`Game`] and finds none broken, or it ends with an error. What it has
//! to say stands on a [`Board`] that all of them see.
//!
//! # When is a wake-up late?
//!
//! When all who could go on sleep for more than 100 ms although there is something to do. A busy machine
//! must not be taken for that, so two clocks have to agree. One counts the keeper's naps of a
//! millisecond, each as one however long the machine makes it. The other is the clock on the wall,
//! less the time in which the keeper or one of them ran or waited for a core, as the kernel counts it. On
//! an idle machine both are the time since the last victim's death.
//!
//! What has not come after [`HANG`] does not come.

use crate::dice::Dice;
use crate::{LIMIT, Plan};
use common::{Child, Exit, Process, Sender, SharedMemory, Signal, StartMethod, one_way_pipe};
use libtest_mimic::Failed;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// In how many milliseconds a survivor has to go on.
const LATE: u128 = 100;
/// What takes as long hangs.
const HANG: Duration = Duration::from_secs(30);

/// What a herd plays.
pub(crate) trait Game: Clone + Serialize + DeserializeOwned {
    /// How many members there are.
    const MEMBERS: usize;

    fn new() -> io::Result<Self>;

    /// A member's life, until [`Seat::is_over`].
    fn play(&self, seat: &mut Seat) -> Result<(), String>;

    /// The keeper's work, until [`Herd::is_done`].
    fn keep(herd: &mut Herd<Self>) -> Result<(), String>;
}

/// Words that the keeper and all members see: some for all, and eight for each member.
///
/// They lie in named memory whose name is taken away at once; the members inherit it.
#[derive(Clone, Copy)]
pub(crate) struct Board(&'static SharedMemory);

static BOARD: OnceLock<SharedMemory> = OnceLock::new();

/// Where the words of the members begin.
const MEMBERS: usize = 64;
/// How many words a member has: a cache line.
const WORDS: usize = 8;
/// The first word for all: whether the members are to end.
const OVER: usize = 0;
/// The first word of the others; those before are the herd's own.
pub(crate) const FREE: usize = 8;
/// A member's first word: how often it has had its turn.
pub(crate) const BEATS: usize = 0;
/// The first of a member's words that are its game's.
pub(crate) const OWN: usize = 1;

impl Board {
    /// A new one; one a process.
    pub(crate) fn new(members: usize) -> Result<Self, String> {
        // Without a tracker, which would outlive the keeper.
        let len = 8 * of(members, 0);
        let block = SharedMemory::options().untracked().create(len).map_err(text)?;
        block.unlink().map_err(text)?;
        Ok(Self(BOARD.get_or_init(|| block)))
    }

    /// In a member: that of its keeper.
    pub(crate) fn inherited() -> Result<Self, String> {
        BOARD.get().map(Self).ok_or_else(|| "a member is not forked by its keeper".to_string())
    }

    pub(crate) fn get(&self, word: usize) -> u64 {
        self.0.get(8 * word).expect("it is on the board")
    }

    pub(crate) fn set(&self, word: usize, value: u64) {
        self.0.set(8 * word, value).expect("it is on the board");
    }

    /// Adds to a word that nobody else writes at this moment.
    pub(crate) fn add(&self, word: usize, value: u64) {
        self.set(word, self.get(word) + value);
    }
}

/// Where the words of a member lie.
pub(crate) fn of(member: usize, word: usize) -> usize {
    MEMBERS + member * WORDS + word
}

/// What a member has: a place on the board, and dice.
pub(crate) struct Seat {
    pub(crate) board: Board,
    pub(crate) place: usize,
    pub(crate) dice: Dice,
}

impl Seat {
    pub(crate) fn is_over(&self) -> bool {
        self.board.get(OVER) != 0
    }

    /// Says that it has had its turn.
    pub(crate) fn beat(&self) {
        self.board.add(of(self.place, BEATS), 1);
    }

    pub(crate) fn read(&self, word: usize) -> u64 {
        self.board.get(of(self.place, word))
    }

    pub(crate) fn write(&self, word: usize, value: u64) {
        self.board.set(of(self.place, word), value);
    }
}

/// What a keeper has seen.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) killed: u64,
    /// How often something was still to come when the keeper looked first.
    pub(crate) waits: u64,
    /// The longest of these, in milliseconds without those of the machine.
    pub(crate) longest: u64,
    /// What the game counts.
    pub(crate) counted: u64,
}

/// The members, and what their keeper knows.
pub(crate) struct Herd<G> {
    pub(crate) game: G,
    pub(crate) board: Board,
    pub(crate) dice: Dice,
    pub(crate) report: Report,
    /// Nobody where one was killed and has no successor yet.
    members: Vec<Option<Child>>,
    to_kill: u64,
}

impl<G: Game> Herd<G> {
    fn new(seed: u64, to_kill: u64) -> Result<Self, String> {
        let mut herd = Self {
            game: G::new().map_err(text)?,
            // The keeper has a seat too.
            board: Board::new(G::MEMBERS + 1)?,
            dice: Dice(seed),
            report: Report::default(),
            members: (0..G::MEMBERS).map(|_| None).collect(),
            to_kill,
        };
        herd.refill()?;
        Ok(herd)
    }

    /// Whether enough were killed.
    pub(crate) fn is_done(&self) -> bool {
        self.report.killed >= self.to_kill
    }

    /// Puts a member into each empty place.
    pub(crate) fn refill(&mut self) -> Result<(), String> {
        for place in 0..G::MEMBERS {
            if self.members[place].is_none() {
                let argument = (self.game.clone(), place, self.dice.roll());
                let member = Process::new(life::<G>, argument).name(format!("member {place}"));
                let member = member.daemon().start_method(StartMethod::Fork).start();
                self.members[place] = Some(member.map_err(text)?);
            }
        }
        Ok(())
    }

    /// The places of those that live.
    pub(crate) fn survivors(&self) -> Vec<usize> {
        (0..G::MEMBERS).filter(|&place| self.members[place].is_some()).collect()
    }

    /// Some of `among`: at least one, and at most `most`.
    pub(crate) fn some_of(&mut self, among: &[usize], most: usize) -> Vec<usize> {
        let count = 1 + self.dice.below(most as u64) as usize;
        let mut left = among.to_vec();
        let mut chosen = Vec::new();
        while chosen.len() < count && !left.is_empty() {
            chosen.push(left.swap_remove(self.dice.below(left.len() as u64) as usize));
        }
        chosen
    }

    /// Kills them, all at once.
    pub(crate) fn shoot(&self, victims: &[usize]) -> Result<(), String> {
        let mut victims = victims.iter().filter_map(|&place| self.members[place].as_ref());
        victims.try_for_each(Child::kill).map_err(text)
    }

    /// Waits until all that were shot are dead, and clears their places.
    pub(crate) fn bury(&mut self, victims: &[usize]) -> Result<(), String> {
        for &place in victims {
            let Some(victim) = self.members[place].take() else { continue };
            match victim.join_timeout(HANG).map_err(text)? {
                Some(Exit::Signal(Signal::KILL)) => self.report.killed += 1,
                Some(exit) => return Err(format!("{} {exit}, and was not killed", victim.name())),
                None => return Err(format!("{} does not die", victim.name())),
            }
        }
        Ok(())
    }

    pub(crate) fn kill(&mut self, victims: &[usize]) -> Result<(), String> {
        self.shoot(victims)?;
        self.bury(victims)
    }

    /// Kills some at a random instant, but spares at least `spared`.
    pub(crate) fn kill_some(&mut self, most: usize, spared: usize) -> Result<(), String> {
        let all = self.survivors();
        let victims = self.some_of(&all, most.min(all.len() - spared));
        self.dice.pause();
        self.kill(&victims)
    }

    /// Waits until `is_there`, by whatever these members do; an error where it comes late, or never.
    pub(crate) fn watch(
        &mut self,
        what: &str,
        by: &[usize],
        mut is_there: impl FnMut(&Board) -> bool,
    ) -> Result<(), String> {
        if is_there(&self.board) {
            return Ok(());
        }
        let (begin, busy_before) = (Instant::now(), self.busy(by));
        let idle = |herd: &Self| {
            let busy = herd.busy(by).saturating_sub(busy_before);
            begin.elapsed().saturating_sub(busy).as_millis()
        };
        self.report.waits += 1;
        for naps in 1u128.. {
            sleep(Duration::from_millis(1));
            let has_come = is_there(&self.board);
            if !has_come && naps % 64 != 0 {
                continue;
            }
            let late = naps.min(idle(self));
            if has_come && late <= LATE {
                self.report.longest = self.report.longest.max(late as u64);
                return Ok(());
            }
            if has_come {
                let (all, state) = (begin.elapsed().as_millis(), self.state());
                return Err(format!("{what}: only after {late} ms (by the clock {all})\n{state}"));
            }
            if begin.elapsed() > HANG {
                return Err(format!("{what}: never\n{}", self.state()));
            }
            if let Some(member) = self.members.iter().flatten().find(|member| !member.is_alive()) {
                return Err(format!("{member:?} has ended"));
            }
        }
        unreachable!("there is always another nap")
    }

    /// Waits until one of these members has had a turn that ended after this moment.
    pub(crate) fn watch_turns(&mut self, places: &[usize]) -> Result<(), String> {
        let turns = |board: &Board| places.iter().map(|&place| board.get(of(place, BEATS))).sum();
        let before: u64 = turns(&self.board);
        self.watch("the turn of a survivor", places, |board| turns(board) > before)
    }

    /// How long the keeper and these members have run or waited for a core. Where the kernel does not
    /// tell, they have not.
    fn busy(&self, places: &[usize]) -> Duration {
        let members = places.iter().filter_map(|&place| self.members[place].as_ref());
        let pids = members.map(Child::pid).chain([std::process::id()]);
        let times = pids.filter_map(|pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
            let mut numbers = text.split_whitespace().map(|word| word.parse::<u64>().ok());
            Some(Duration::from_nanos(numbers.next()?? + numbers.next()??))
        });
        times.sum()
    }

    /// What stands on the board.
    fn state(&self) -> String {
        let mut state = String::new();
        let words = |from: usize, to: usize| {
            (from..to).map(|word| self.board.get(word)).collect::<Vec<_>>()
        };
        let _ = writeln!(state, "for all: {:?}", words(0, MEMBERS));
        for (place, member) in self.members.iter().enumerate() {
            let pid = member.as_ref().map(Child::pid);
            let _ =
                writeln!(state, "{place}, {pid:?}: {:?}", words(of(place, 0), of(place + 1, 0)));
        }
        state
    }

    /// Lets all members come to their end; `wake` is called again and again meanwhile.
    pub(crate) fn rest(
        &mut self,
        mut wake: impl FnMut(&G) -> Result<(), String>,
    ) -> Result<(), String> {
        self.board.set(OVER, 1);
        let begin = Instant::now();
        for place in 0..G::MEMBERS {
            let Some(member) = self.members[place].clone() else { continue };
            loop {
                wake(&self.game)?;
                match member.join_timeout(Duration::from_millis(20)).map_err(text)? {
                    Some(Exit::Code(0)) => break,
                    Some(exit) => return Err(format!("{} {exit}", member.name())),
                    None if begin.elapsed() > HANG => {
                        return Err(format!("{} does not end\n{}", member.name(), self.state()));
                    }
                    None => {}
                }
            }
            self.members[place] = None;
        }
        self.board.set(OVER, 0);
        Ok(())
    }

    /// Keeps a herd in which each member's turn is followed by another's, whoever was killed. Now and then
    /// all of them end or are killed, and `at_rest` looks at what they leave.
    pub(crate) fn keep_turning(
        &mut self,
        mut at_rest: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        while !self.is_done() {
            for _ in 0..5 + self.dice.below(20) {
                self.kill_some(3, 2)?;
                let survivors = self.survivors();
                if self.dice.once_in(2) {
                    self.refill()?;
                }
                self.watch_turns(&survivors)?;
                self.refill()?;
            }
            if self.dice.once_in(2) {
                self.rest(|_| Ok(()))?;
            } else {
                self.dice.pause();
                self.kill(&self.survivors())?;
            }
            at_rest(self)?;
            self.refill()?;
        }
        self.rest(|_| Ok(()))
    }

    /// The keeper's own seat, beside those of the members.
    pub(crate) fn seat(&mut self) -> Seat {
        Seat { board: self.board, place: G::MEMBERS, dice: Dice(self.dice.roll()) }
    }
}

/// The process of a member.
fn life<G: Game>((game, place, seed): (G, usize, u64)) -> Result<(), String> {
    let mut seat = Seat { board: Board::inherited()?, place, dice: Dice(seed) };
    game.play(&mut seat).map_err(|error| format!("member {place}: {error}"))
}

/// The process of a keeper.
fn keep<G: Game>((seed, to_kill, sender): (u64, u64, Sender<Report>)) -> Result<(), String> {
    let mut herd = Herd::<G>::new(seed, to_kill)?;
    G::keep(&mut herd)?;
    let maps = fs::read_to_string("/proc/self/maps").map_err(text)?;
    let has_name = |map: &&str| map.contains("/dev/shm/") && !map.ends_with("(deleted)");
    if let Some(map) = maps.lines().find(has_name) {
        return Err(format!("this memory has a name: {map}"));
    }
    sender.send(&herd.report).map_err(text)
}

/// So many herds at once, each with its keeper, until together they have lost as many as asked for.
pub(crate) fn torture<G: Game + 'static>(herds: u64) -> Result<(), Failed> {
    let Plan { rounds, seed } = Plan::from_environment();
    let to_kill = (2 * rounds.max(30)).div_ceil(herds);
    let mut kept = Vec::new();
    for seed in seed..seed + herds {
        let (receiver, sender) = one_way_pipe()?;
        let keeper = Process::new(keep::<G>, (seed, to_kill, sender)).start()?;
        kept.push((seed, keeper, receiver));
    }
    let begin = Instant::now();
    let mut sum = Report::default();
    for (seed, keeper, receiver) in &kept {
        let exit = keeper.join_timeout(LIMIT.saturating_sub(begin.elapsed()))?;
        if exit != Some(Exit::Code(0)) {
            // Members end with their keeper.
            kept.iter().try_for_each(|(_, keeper, _)| keeper.kill())?;
            let what = exit.map_or("hangs".to_string(), |exit| exit.to_string());
            return Err(format!("COMMON_TORTURE_SEED={seed}: the keeper {what}").into());
        }
        let report = receiver.recv()?;
        sum.killed += report.killed;
        sum.waits += report.waits;
        sum.longest = sum.longest.max(report.longest);
        sum.counted += report.counted;
    }
    let Report { killed, waits, longest, counted } = sum;
    println!(
        "{killed} killed in {:.1?} in {herds} herds from seed {seed} on; {waits} waits of at most \
         {longest} ms; counted {counted}",
        begin.elapsed()
    );
    assert!(killed >= to_kill * herds);
    Ok(())
}

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
