//! How far the calls of a pool are, on standard error.

use super::worker::Target;
use super::{Chunks, MapError, PoolError, TaskError};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// What stands between two lines at least.
const PAUSE: Duration = Duration::from_secs(1);
/// The same where nobody knows how much there is.
const LONG_PAUSE: Duration = Duration::from_secs(10);
/// What a bar looks like.
const BAR: &str = "{msg} [{bar:30}] {human_pos}/{human_len}, {per_sec}, {eta} left";
/// The same where nobody knows how much there is.
const COUNT: &str = "{msg} {human_pos}, {per_sec}, {elapsed}";

/// A pool whose calls show how far they are: see [`Pool::with_progress`](super::Pool::with_progress).
#[derive(Clone, Debug)]
#[must_use = "its methods call the function"]
pub struct WithProgress<'p> {
    chunks: Chunks<'p>,
    name: String,
}

impl<'p> Chunks<'p> {
    /// As [`Pool::with_progress`](super::Pool::with_progress).
    pub fn with_progress(self, name: impl Into<String>) -> WithProgress<'p> {
        WithProgress { chunks: self, name: name.into() }
    }
}

impl<'p> WithProgress<'p> {
    /// As [`Pool::map`](super::Pool::map).
    ///
    /// # Errors
    ///
    /// As for [`Pool::map`](super::Pool::map).
    pub fn map<A, R, I>(self, function: fn(A) -> R, inputs: I) -> Result<Vec<R>, MapError<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.run(function, inputs)
    }

    /// As [`Pool::starmap`](super::Pool::starmap).
    ///
    /// # Errors
    ///
    /// As for [`Pool::map`](super::Pool::map).
    pub fn starmap<A, B, R, I>(
        self,
        function: fn(A, B) -> R,
        inputs: I,
    ) -> Result<Vec<R>, MapError<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        B: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = (A, B)>,
    {
        self.run(function, inputs)
    }

    /// As [`Pool::imap`](super::Pool::imap); a result counts when it is taken.
    ///
    /// # Errors
    ///
    /// As for [`Pool::imap`](super::Pool::imap).
    pub fn imap<A, R, I>(
        self,
        function: fn(A) -> R,
        inputs: I,
    ) -> Result<impl Iterator<Item = Result<R, TaskError>> + use<'p, A, R, I>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        let inputs = inputs.into_iter();
        let progress = Progress::begin(self.name, total(&inputs));
        Ok(progress.over(self.chunks.imap(function, inputs)?))
    }

    /// As [`Pool::imap_unordered`](super::Pool::imap_unordered); a result counts when it is taken.
    ///
    /// # Errors
    ///
    /// As for [`Pool::imap`](super::Pool::imap).
    pub fn imap_unordered<A, R, I>(
        self,
        function: fn(A) -> R,
        inputs: I,
    ) -> Result<impl Iterator<Item = Result<R, TaskError>> + use<'p, A, R, I>, PoolError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        let inputs = inputs.into_iter();
        let progress = Progress::begin(self.name, total(&inputs));
        Ok(progress.over(self.chunks.imap_unordered(function, inputs)?))
    }
}

impl WithProgress<'_> {
    fn run<T, I>(self, function: T, inputs: I) -> Result<Vec<T::Value>, MapError<T::Value>>
    where
        T: Target<Argument: Serialize, Value: DeserializeOwned + Send>,
        I: IntoIterator<Item = T::Argument>,
    {
        let inputs = inputs.into_iter();
        let progress = RefCell::new(Progress::begin(self.name, total(&inputs)));
        let tick = |done| progress.borrow_mut().set(done);
        let outcome = self.chunks.run_watched(function, inputs, Some(&tick));
        let done = match &outcome {
            Ok(values) => Some(values.len()),
            Err(MapError::Tasks(results)) => Some(results.len()),
            Err(_) => None,
        };
        progress.into_inner().end(done);
        outcome
    }
}

/// How many inputs there are, where they say so.
fn total(inputs: &impl Iterator) -> Option<usize> {
    let (least, most) = inputs.size_hint();
    most.filter(|&most| most == least)
}

/// How far something is.
struct Progress {
    name: String,
    total: Option<usize>,
    done: usize,
    since: Instant,
    form: Form,
}

enum Form {
    Bar(ProgressBar),
    Lines {
        /// When a line was written, and how many tenths it told.
        last: Instant,
        tenths: usize,
    },
}

impl Progress {
    fn begin(name: String, total: Option<usize>) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let since = Instant::now();
        let form = match io::stderr().is_terminal() && !is_dumb {
            true => Form::Bar(bar(&name, total)),
            false => Form::Lines { last: since, tenths: 0 },
        };
        Self { name, total, done: 0, since, form }
    }

    /// So many are done; what was told before is not taken back.
    fn set(&mut self, done: usize) {
        let done = done.max(self.done).min(self.total.unwrap_or(usize::MAX));
        self.done = done;
        match &mut self.form {
            Form::Bar(bar) => {
                bar.set_position(done as u64);
                bar.tick();
            }
            Form::Lines { last, tenths } => {
                let reached = self.total.map_or(0, |total| done * 10 / total.max(1));
                let is_due = match self.total {
                    Some(_) => reached > *tenths && last.elapsed() >= PAUSE,
                    None => last.elapsed() >= LONG_PAUSE,
                };
                if is_due && Some(done) != self.total {
                    (*last, *tenths) = (Instant::now(), reached);
                    self.write();
                }
            }
        }
    }

    /// It has ended, after so many, if that is known.
    fn end(mut self, done: Option<usize>) {
        if let Some(done) = done {
            self.done = done;
        }
        match &self.form {
            Form::Bar(bar) => {
                bar.set_position(self.done as u64);
                // The bar stays where it is, and what comes next begins on a line of its own.
                bar.abandon();
            }
            Form::Lines { .. } => self.write(),
        }
    }

    fn write(&self) {
        let Self { name, total, done, since, .. } = self;
        let seconds = since.elapsed().as_secs_f64();
        let rate = *done as f64 / seconds.max(1e-9);
        let so_far = match total {
            Some(total) if done == total => format!("{done} in {seconds:.1} s, {rate:.1}/s"),
            Some(total) if *done > 0 => {
                let left = (*total - *done) as f64 / rate;
                format!("{done} of {total}, {rate:.1}/s, {left:.0} s left")
            }
            Some(total) => format!("{done} of {total}"),
            None => format!("{done} in {seconds:.1} s, {rate:.1}/s"),
        };
        // Where nobody can read it, the work goes on all the same.
        let _ = writeln!(io::stderr(), "{name}: {so_far}");
    }

    /// Counts what is taken.
    fn over<T>(self, items: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        /// Ends it also where somebody stops in the midst.
        struct Ending(Option<Progress>);
        impl Drop for Ending {
            fn drop(&mut self) {
                self.0.take().into_iter().for_each(|progress| progress.end(None));
            }
        }
        let mut ending = Ending(Some(self));
        items.inspect(move |_| {
            if let Some(progress) = &mut ending.0 {
                progress.set(progress.done + 1);
            }
        })
    }
}

fn bar(name: &str, total: Option<usize>) -> ProgressBar {
    let target = ProgressDrawTarget::stderr();
    let bar = ProgressBar::with_draw_target(total.map(|total| total as u64), target);
    let template = if total.is_some() { BAR } else { COUNT };
    let style = ProgressStyle::with_template(template).expect("it is a template");
    bar.set_style(style.progress_chars("=> "));
    bar.set_message(name.to_string());
    bar.tick();
    bar
}
