//! What waits for the results of tasks: one call, a `map`, an iterator.

use super::desk::AREA;
use super::dispatch::{Answers, Dispatch, Job};
use super::error::{MapError, PoolError, TaskError};
use super::message::{self, ChunkHeader, Entries, Entry, Function};
use super::promise::Promise;
use crate::queue::item;
use crate::sync::word::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const NO_HANDLES: &str = "a handle cannot go to a pool's worker inside a task; give it to all of them by \
                          the pool's initializer, or to a Process in its argument";

/// What a task of this result type may come back as.
pub(super) trait Returns: DeserializeOwned + Send + 'static {}

impl<R: DeserializeOwned + Send + 'static> Returns for R {}

/// The result that an entry tells.
#[inline]
fn read<R: Returns>(entry: Entry<'_>) -> Result<R, TaskError> {
    if entry.is_failure {
        return Err(message::failure(entry.bytes));
    }
    item::read(entry.bytes).map_err(|error| TaskError::Result(error.to_string()))
}

/// A single call.
pub(super) struct One<R>(pub(super) Arc<Promise<R, TaskError>>);

impl<R: Returns> Job for One<R> {
    fn settle(&self, _: usize, answers: Answers<'_>) -> u32 {
        let outcome = match answers {
            Answers::Entries(mut entries) => entries.next().map(read),
            Answers::Failed(places, error) => (!places.is_empty()).then_some(Err(error)),
        };
        outcome.map_or(0, |outcome| u32::from(self.0.settle(outcome)))
    }
}

/// The calls of a `map`, all of whose results come at once.
pub(super) struct Many<R> {
    content: Mutex<Content<R>>,
    promise: Arc<Promise<Vec<R>, MapError<R>>>,
}

struct Content<R> {
    values: Vec<Option<R>>,
    errors: BTreeMap<usize, TaskError>,
    settled: usize,
    /// How many there are, once that is known.
    total: Option<usize>,
}

impl<R: Returns> Many<R> {
    pub(super) fn new(promise: &Arc<Promise<Vec<R>, MapError<R>>>) -> Arc<Self> {
        let content =
            Content { values: Vec::new(), errors: BTreeMap::new(), settled: 0, total: None };
        Arc::new(Self { content: Mutex::new(content), promise: Arc::clone(promise) })
    }

    fn lock(&self) -> MutexGuard<'_, Content<R>> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls have ended.
    pub(super) fn settled(&self) -> usize {
        self.lock().settled
    }

    /// There are so many calls, and no more.
    pub(super) fn complete(&self, total: usize) {
        let mut content = self.lock();
        content.total = Some(total);
        self.finish(content);
    }

    fn finish(&self, mut content: MutexGuard<'_, Content<R>>) {
        if content.total != Some(content.settled) {
            return;
        }
        let values = std::mem::take(&mut content.values).into_iter();
        let mut errors = std::mem::take(&mut content.errors);
        drop(content);
        let outcome = if errors.is_empty() {
            // Where there is no error, each has a value; they move up in their place.
            Ok(values.map(|value| value.expect("all calls have ended")).collect())
        } else {
            let result = |(index, value): (usize, Option<R>)| {
                value.ok_or_else(|| errors.remove(&index).unwrap_or(TaskError::Terminated))
            };
            Err(MapError::Tasks(values.enumerate().map(result).collect()))
        };
        self.promise.settle(outcome);
    }
}

impl<R: Returns> Content<R> {
    /// Notes a run of values, if these are one.
    fn note_run(&mut self, first: usize, entries: &Entries<'_>) -> bool {
        let run = entries.run_of(size_of::<R>()).filter(|_| item::is_fixed::<R>());
        let Some((place, bytes)) = run else { return false };
        let first = first + place as usize;
        let places = first..first + bytes.len() / size_of::<R>();
        if self.values.len() < places.end {
            self.values.resize_with(places.end, || None);
        }
        let slots = &mut self.values[places.clone()];
        let is_known = slots.iter().any(Option::is_some)
            || !self.errors.is_empty() && self.errors.range(places.clone()).next().is_some();
        if is_known {
            return false;
        }
        for (slot, bytes) in slots.iter_mut().zip(bytes.chunks_exact(size_of::<R>())) {
            *slot = item::from_plain(bytes).ok();
        }
        // One that is no value of its type has to be named.
        if slots.iter().any(Option::is_none) {
            slots.fill_with(|| None);
            return false;
        }
        self.settled += places.len();
        true
    }

    #[inline]
    fn note(&mut self, index: usize, answer: impl FnOnce() -> Result<R, TaskError>) {
        if self.values.len() <= index {
            self.values.resize_with(index + 1, || None);
        }
        let is_known = self.values[index].is_some()
            || !self.errors.is_empty() && self.errors.contains_key(&index);
        if !is_known {
            match answer() {
                Ok(value) => self.values[index] = Some(value),
                Err(error) => drop(self.errors.insert(index, error)),
            }
            self.settled += 1;
        }
    }
}

impl<R: Returns> Job for Many<R> {
    fn settle(&self, first: usize, answers: Answers<'_>) -> u32 {
        let mut content = self.lock();
        let before = content.settled;
        match answers {
            Answers::Entries(entries) if content.note_run(first, &entries) => {}
            Answers::Entries(entries) => {
                for entry in entries {
                    content.note(first + entry.place as usize, || read(entry));
                }
            }
            Answers::Failed(places, error) => {
                for place in places {
                    content.note(first + place as usize, || Err(error.clone()));
                }
            }
        }
        let settled = content.settled - before;
        self.finish(content);
        settled as u32
    }
}

/// The calls of an `imap`, whose results are taken one by one.
pub(super) struct Stream<R>(Mutex<Flow<R>>);

struct Flow<R> {
    /// Which task the first slot is of, and what became of it and the later ones.
    first: usize,
    slots: VecDeque<Slot<R>>,
    /// Which tasks have ended and were not taken, in the order in which they ended.
    arrived: VecDeque<usize>,
}

enum Slot<R> {
    Awaited,
    There(Result<R, TaskError>),
    Taken,
}

impl<R: Returns> Stream<R> {
    pub(super) fn new() -> Arc<Self> {
        let flow = Flow { first: 0, slots: VecDeque::new(), arrived: VecDeque::new() };
        Arc::new(Self(Mutex::new(flow)))
    }

    fn lock(&self) -> MutexGuard<'_, Flow<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next result, in the order of the inputs or that of the results, if it is there.
    pub(super) fn take(&self, in_order: bool) -> Option<Result<R, TaskError>> {
        let mut flow = self.lock();
        let place = match in_order {
            true => 0,
            false => flow.arrived.front()?.checked_sub(flow.first)?,
        };
        let slot = flow.slots.get_mut(place)?;
        if !matches!(slot, Slot::There(_)) {
            return None;
        }
        let taken = std::mem::replace(slot, Slot::Taken);
        if !in_order {
            flow.arrived.pop_front();
        }
        while matches!(flow.slots.front(), Some(Slot::Taken)) {
            flow.slots.pop_front();
            flow.first += 1;
        }
        match taken {
            Slot::There(result) => Some(result),
            Slot::Awaited | Slot::Taken => None,
        }
    }

    /// One call of the next ones has failed before it was given out.
    pub(super) fn fail(&self, index: usize, error: TaskError) {
        self.settle(index, Answers::Failed(0..1, error));
    }
}

impl<R: Returns> Flow<R> {
    /// Notes what became of a task; how many are known more than before.
    fn note(&mut self, index: usize, answer: impl FnOnce() -> Result<R, TaskError>) -> u32 {
        // What lies before was taken already.
        let Some(place) = index.checked_sub(self.first) else { return 0 };
        while self.slots.len() <= place {
            self.slots.push_back(Slot::Awaited);
        }
        if !matches!(self.slots[place], Slot::Awaited) {
            return 0;
        }
        self.slots[place] = Slot::There(answer());
        self.arrived.push_back(index);
        1
    }
}

impl<R: Returns> Job for Stream<R> {
    fn settle(&self, first: usize, answers: Answers<'_>) -> u32 {
        let mut flow = self.lock();
        match answers {
            Answers::Entries(entries) => {
                entries.map(|entry| flow.note(first + entry.place as usize, || read(entry))).sum()
            }
            Answers::Failed(places, error) => {
                places.map(|place| flow.note(first + place as usize, || Err(error.clone()))).sum()
            }
        }
    }
}

/// Gives out the calls of a job, in chunks.
pub(super) struct Feeder {
    dispatch: Arc<Dispatch>,
    job: Arc<dyn Job>,
    function: Function,
    /// The arguments that are not given out, how many they are, and which is the first.
    entries: Vec<u8>,
    count: u32,
    first: usize,
    /// How many bytes were given out, and which calls as the last.
    bytes: usize,
    last: Range<usize>,
    /// Whether what is given out can be cancelled, and what that is.
    can_cancel: bool,
    chunks: Vec<u64>,
    /// Whether it waits for memory while workers can make some free.
    is_patient: bool,
}

/// How long it waits for memory before it looks again: nobody says that there is some.
const PAUSE: Duration = Duration::from_millis(10);

impl Feeder {
    pub(super) fn new(
        dispatch: &Arc<Dispatch>,
        job: Arc<dyn Job>,
        function: Function,
        can_cancel: bool,
    ) -> Self {
        Self {
            dispatch: Arc::clone(dispatch),
            job,
            function,
            entries: Vec::new(),
            count: 0,
            first: 0,
            bytes: 0,
            last: 0..0,
            can_cancel,
            chunks: Vec::new(),
            is_patient: false,
        }
    }

    /// The same, which waits where there is no memory for a chunk while others are in the line: their
    /// results are read meanwhile, and kept in this process.
    pub(super) fn patient(mut self) -> Self {
        self.is_patient = true;
        self
    }

    /// How many calls there have been.
    pub(super) fn total(&self) -> usize {
        self.first + self.count as usize
    }

    /// Whether no call waits for its chunk to be full.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Which calls were given out as the last, or could not be.
    pub(super) fn last(&self) -> Range<usize> {
        self.last.clone()
    }

    /// How many calls the last chunk had.
    pub(super) fn chunk(&self) -> usize {
        self.last.len().max(1)
    }

    /// How many bytes the average argument has.
    pub(super) fn average(&self) -> usize {
        self.bytes.checked_div(self.first).unwrap_or(0)
    }

    /// Adds a call, and gives out the chunk when it has `size` of them.
    #[inline]
    pub(super) fn add<A>(&mut self, argument: &A, size: usize) -> Result<(), PoolError>
    where
        A: Serialize + 'static,
    {
        let before = self.entries.len();
        self.append(argument)?;
        // A chunk of several calls lies on a desk.
        if self.count > 0 && self.entries.len() + ChunkHeader::LEN > AREA {
            self.entries.truncate(before);
            self.flush()?;
            self.append(argument)?;
        }
        self.count += 1;
        if self.count as usize >= size || self.entries.len() + ChunkHeader::LEN > AREA {
            self.flush()?;
        }
        Ok(())
    }

    #[inline]
    fn append<A: Serialize + 'static>(&mut self, argument: &A) -> Result<(), PoolError> {
        message::append(&mut self.entries, 0, argument, NO_HANDLES)
            .map_err(|source| PoolError::Input { index: self.total(), source })
    }

    /// Passes over a call, which is settled otherwise.
    pub(super) fn skip(&mut self) -> Result<(), PoolError> {
        self.flush()?;
        self.first += 1;
        Ok(())
    }

    /// Gives out what is left.
    pub(super) fn flush(&mut self) -> Result<(), PoolError> {
        if self.count == 0 {
            return Ok(());
        }
        let Self { dispatch, job, function, can_cancel, entries, count, first, .. } = self;
        let given = loop {
            let waiting = dispatch.waiting_chunks();
            match dispatch.give_out(job, *function, (*first, *count), *can_cancel, entries) {
                Err(PoolError::Io(error))
                    if self.is_patient
                        && waiting > 0
                        && error.kind() != ErrorKind::InvalidInput =>
                {
                    let has_room = || dispatch.waiting_chunks() < waiting;
                    dispatch.wait(Deadline::after(PAUSE), |_| has_room().then_some(()));
                }
                given => break given,
            }
        };
        self.bytes += self.entries.len();
        self.last = self.first..self.first + self.count as usize;
        self.first = self.last.end;
        self.count = 0;
        self.entries.clear();
        self.entries.shrink_to(AREA);
        let chunk = given?;
        if self.can_cancel {
            self.chunks.push(chunk);
        }
        Ok(())
    }

    /// The chunks that can be cancelled.
    pub(crate) fn chunks(&self) -> &[u64] {
        &self.chunks
    }
}
