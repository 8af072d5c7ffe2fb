//! Values between processes: counted together, sent in great numbers, and held by those who are killed.
//!
//! `COMMON_TORTURE_ROUNDS` sets how often a holder is killed, `COMMON_TORTURE_SEED` the first seed.

use bytemuck::{CheckedBitPattern, NoUninit, Zeroable};
use common::connection::{Connection, pipe};
use common::sync::Lock;
use common::{Array, AtomicValue, Exit, Plain, Process, StartMethod, Value};
use libtest_mimic::{Arguments, Failed, Trial};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::fs;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

type Outcome = Result<(), Failed>;
/// A trial for each start method.
type Body = fn(StartMethod) -> Outcome;

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(60);

/// What tells another process that something has happened, and waits for it.
type Signal = Connection<(), ()>;

fn main() {
    common::init();
    let mut arguments = Arguments::from_args();
    // A fork needs a process without threads.
    arguments.test_threads = Some(1);
    let mut trials = vec![
        Trial::test("a_forked_child_finds_a_value_in_a_static", in_a_static),
        Trial::test("ten_thousand_values_travel_in_one_message", in_one_message),
        Trial::test("a_handle_is_refused_as_another_type", another_type),
        Trial::test("values_have_no_names_in_the_system", no_names),
        Trial::test("whenever_a_holder_is_killed_the_next_is_told", torture),
    ];
    let each: [(&str, Body); 7] = [
        ("processes_that_count_together_lose_nothing", count),
        ("values_of_every_type_arrive", every_type),
        ("ten_thousand_values_travel_in_one_argument", in_one_argument),
        ("values_outlive_their_makers", outlive),
        ("one_process_waits_for_another", wait),
        ("a_holder_that_is_killed_or_panics_is_told_of_once", told_once),
        ("a_guard_that_is_forgotten_is_given_back_at_the_end", forgotten),
    ];
    for (name, body) in each {
        for method in StartMethod::ALL {
            trials.push(Trial::test(format!("{name}::{method}"), move || body(method)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn count(method: StartMethod) -> Outcome {
    const TURNS: usize = 10_000;
    type Counts = (Value<u64>, Array<u32>, AtomicValue<i64>, AtomicValue<f64>);
    fn child((value, array, integer, float): Counts) -> common::Result<()> {
        for turn in 0..TURNS {
            value.update(|number| *number += 1);
            array.update(turn % 5, |number| *number += 1)?;
            integer.fetch_sub(1);
            float.fetch_add(0.5);
        }
        Ok(())
    }
    let (value, array) = (Value::new(0)?, Array::new(5)?);
    let (integer, float) = (AtomicValue::new(0)?, AtomicValue::new(0.0)?);
    let counts = (value.clone(), array.clone(), integer.clone(), float.clone());
    let children = [(); 4].map(|()| {
        let counts = (counts.0.clone(), counts.1.clone(), counts.2.clone(), counts.3.clone());
        Process::new(child, counts).start_method(method).start()
    });
    for child in children {
        assert_eq!(child?.join()?, Exit::Code(0));
    }
    assert_eq!(value.get(), 40_000);
    assert_eq!(array.to_vec(), [8000; 5]);
    assert_eq!((integer.get(), float.get()), (-40_000, 20_000.0));
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, NoUninit, CheckedBitPattern, Zeroable)]
#[repr(u8)]
enum Colour {
    Red,
    Green,
}

#[derive(Clone, Copy, Debug, PartialEq, NoUninit, CheckedBitPattern, Zeroable)]
#[repr(C)]
struct Point {
    x: f64,
    letter: char,
    is_set: bool,
    colour: Colour,
    rest: u16,
}

/// A value, what a child finds in it, and what it makes of it.
fn changed<T: Plain + fmt::Debug + PartialEq + Serialize + for<'de> Deserialize<'de>>(
    method: StartMethod,
    (before, after): (T, T),
) -> Outcome {
    fn child<T: Plain + fmt::Debug + PartialEq>(
        (value, array, (before, after)): (Value<T>, Array<T>, (T, T)),
    ) -> common::Result<()> {
        assert_eq!((value.get(), array.to_vec()), (before, vec![before; 3]));
        value.set(after);
        array.set(1, after)?;
        Ok(())
    }
    let (value, array) = (Value::new(before)?, Array::from_slice(&[before; 3])?);
    let argument = (value.clone(), array.clone(), (before, after));
    let child = Process::new(child::<T>, argument).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!(value.get(), after);
    assert_eq!(array.to_vec(), [before, after, before]);
    Ok(())
}

fn every_type(method: StartMethod) -> Outcome {
    changed(method, (i8::MIN, i8::MAX))?;
    changed(method, (0u16, u16::MAX))?;
    changed(method, (-1i128, i128::MAX))?;
    changed(method, (0.1f32, f32::NEG_INFINITY))?;
    changed(method, (false, true))?;
    changed(method, ('\0', char::MAX))?;
    changed(method, ([1u64; 20], [u64::MAX; 20]))?;

    fn child((colour, point): (Value<Colour>, Value<Point>)) {
        colour.set(Colour::Green);
        point.update(|point| point.letter = 'ß');
    }
    let colour = Value::new(Colour::Red)?;
    let point = Point { x: 0.5, letter: 'a', is_set: true, colour: Colour::Green, rest: 7 };
    let shared = Value::new(point)?;
    let argument = (colour.clone(), shared.clone());
    let child = Process::new(child, argument).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!(colour.get(), Colour::Green);
    assert_eq!(shared.get(), Point { letter: 'ß', ..point });
    Ok(())
}

fn in_a_static() -> Outcome {
    static COUNT: OnceLock<Value<u32>> = OnceLock::new();
    fn child((): ()) {
        COUNT.get().expect("the memory is the parent's").update(|count| *count += 1);
    }
    let count = COUNT.get_or_init(|| Value::new(1).expect("there is memory"));
    let child = Process::new(child, ()).start_method(StartMethod::Fork).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!(count.get(), 2);
    Ok(())
}

fn ten_thousand() -> common::Result<Vec<Value<u32>>> {
    Ok((0..10_000).map(Value::new).collect::<Result<_, _>>()?)
}

/// Each is itself, and is one more afterwards.
fn add_one(values: &[Value<u32>]) {
    assert_eq!(values.len(), 10_000);
    for (value, number) in values.iter().zip(0..) {
        assert_eq!(value.update(|value| std::mem::replace(value, number + 1)), number);
    }
}

fn in_one_message() -> Outcome {
    fn child(parent: Connection<(), Vec<Value<u32>>>) -> common::Result<()> {
        add_one(&parent.recv()?);
        Ok(())
    }
    let (ours, theirs) = pipe::<Vec<Value<u32>>, ()>()?;
    let child = Process::new(child, theirs).start()?;
    let values = ten_thousand()?;
    ours.send(&values)?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert!(values.iter().zip(1..).all(|(value, number)| value.get() == number));
    Ok(())
}

fn in_one_argument(method: StartMethod) -> Outcome {
    fn child(values: Vec<Value<u32>>) {
        add_one(&values);
    }
    let values = ten_thousand()?;
    let child = Process::new(child, values.clone()).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert!(values.iter().zip(1..).all(|(value, number)| value.get() == number));
    Ok(())
}

/// Leaves as a number and arrives as a letter.
struct Changeling(Value<u32>);

impl Serialize for Changeling {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Changeling {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::<char>::deserialize(deserializer)?;
        Ok(Self(Value::new(0).map_err(serde::de::Error::custom)?))
    }
}

fn another_type() -> Outcome {
    let (left, right) = pipe::<Changeling, Changeling>()?;
    let value = Value::new(u32::MAX)?;
    left.send(&Changeling(value.clone()))?;
    let error = right.recv().err().ok_or("it arrived")?.to_string();
    assert!(error.contains("it was not made for char; receive it as"), "{error}");
    assert_eq!(value.get(), u32::MAX);
    Ok(())
}

fn outlive(method: StartMethod) -> Outcome {
    fn child(parent: Connection<(Value<u32>, Array<u8>), ()>) -> common::Result<()> {
        parent.send(&(Value::new(7)?, Array::from_slice(b"seven")?))?;
        Ok(())
    }
    fn other((value, array): (Value<u32>, Array<u8>)) -> common::Result<()> {
        value.update(|number| *number += 1);
        array.copy_in(0, b"eight")?;
        Ok(())
    }
    let (ours, theirs) = pipe::<(), (Value<u32>, Array<u8>)>()?;
    let maker = Process::new(child, theirs).start_method(method).start()?;
    assert_eq!(maker.join()?, Exit::Code(0));
    // The maker has ended before they arrive.
    let (value, array) = ours.recv()?;
    assert_eq!((value.get(), array.to_vec()), (7, b"seven".to_vec()));
    let argument = (value.clone(), array.clone());
    let other = Process::new(other, argument).start_method(method).start()?;
    assert_eq!(other.join()?, Exit::Code(0));
    assert_eq!((value.get(), array.to_vec()), (8, b"eight".to_vec()));
    Ok(())
}

fn wait(method: StartMethod) -> Outcome {
    fn child((value, parent): (Value<u32>, Signal)) -> common::Result<()> {
        let mut guard = value.lock();
        parent.send(&())?;
        parent.recv()?;
        *guard = 1;
        Ok(())
    }
    let value = Value::new(0)?;
    let (ours, theirs) = pipe()?;
    let process = Process::new(child, (value.clone(), theirs)).daemon();
    let child = process.start_method(method).start()?;
    ours.recv()?;
    assert!(value.try_lock().is_none());
    assert!(value.lock_timeout(Duration::from_millis(20)).is_none());
    assert_eq!(format!("{value:?}"), "Value(<locked>)");
    ours.send(&())?;
    // It waits for the child, which has not written yet when this begins.
    let guard = value.lock();
    assert_eq!((*guard, guard.previous_holder_died()), (1, false));
    drop(guard);
    assert_eq!(child.join()?, Exit::Code(0));
    Ok(())
}

fn told_once(method: StartMethod) -> Outcome {
    fn killed((value, array, parent): (Value<[u64; 2]>, Array<u32>, Signal)) -> common::Result<()> {
        value.update(|pair| {
            pair[0] = 1;
            let mut guard = array.lock();
            guard[0] = 1;
            parent.send(&()).expect("the parent is there");
            // For the parent, which never sends.
            parent.recv().expect("the parent is there");
            guard[1] = 1;
            pair[1] = 1;
        });
        Ok(())
    }
    fn panics((value, array): (Value<[u64; 2]>, Array<u32>)) {
        value.update(|pair| {
            pair[0] = 2;
            let mut guard = array.lock();
            guard[0] = 2;
            // Without a word on standard error.
            std::panic::resume_unwind(Box::new("a panic"));
        });
    }
    let (value, array) = (Value::new([0; 2])?, Array::new(2)?);
    let told = |number| {
        // These do not ask, and leave it to one who does.
        assert_eq!((value.get(), array.to_vec()), ([number, 0], vec![number as u32, 0]));
        value.update(|pair| pair[1] = 5);
        array.set(1, 5).expect("it has two elements");
        assert_eq!(
            format!("{value:?} {array:?}"),
            format!("Value([{number}, 5]) Array([{number}, 5])")
        );
        assert!(value.lock().previous_holder_died() && array.lock().previous_holder_died());
        assert!(!value.lock().previous_holder_died() && !array.lock().previous_holder_died());
        value.set([0; 2]);
        array.lock().fill(0);
    };
    let (ours, theirs) = pipe()?;
    let argument = (value.clone(), array.clone(), theirs);
    let child = Process::new(killed, argument).daemon().start_method(method).start()?;
    ours.recv()?;
    child.kill()?;
    told(1);
    child.join()?;

    let argument = (value.clone(), array.clone());
    let child = Process::new(panics, argument).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(101));
    told(2);
    Ok(())
}

/// The last handle goes before the thread does.
fn forgotten(method: StartMethod) -> Outcome {
    fn child((value, array, lock): (Value<u8>, Array<u8>, Lock)) -> common::Result<()> {
        std::mem::forget(value.lock());
        std::mem::forget(array.lock());
        lock.acquire().keep();
        drop((value, array, lock));
        // What takes their place is taken and given back as ever.
        for number in 0..100 {
            let other = Value::new(number)?;
            other.update(|other| *other += 1);
            assert_eq!(other.get(), number + 1);
        }
        Ok(())
    }
    let (value, array, lock) = (Value::new(1)?, Array::new(1)?, Lock::new()?);
    let argument = (value.clone(), array.clone(), lock.clone());
    let child = Process::new(child, argument).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert!(value.lock().previous_holder_died());
    assert!(array.lock().previous_holder_died());
    assert!(lock.acquire().previous_holder_died());
    Ok(())
}

/// A process that is killed can leave nothing behind that has none.
fn no_names() -> Outcome {
    let _values = (Value::new(1)?, Array::<u8>::new(5 << 20)?, AtomicValue::new(1)?);
    let mut seen = 0;
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        if line.contains("arena") || line.contains("/dev/shm/") {
            assert!(line.ends_with(" (deleted)"), "{line}");
            seen += 1;
        }
    }
    assert!(seen >= 2);
    Ok(())
}

/// Numbers that look random and are the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn torture() -> Outcome {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let rounds = number("COMMON_TORTURE_ROUNDS").unwrap_or(100);
    let first = number("COMMON_TORTURE_SEED").unwrap_or_else(|| std::process::id().into());
    let mut told = 0;
    for seed in first..first + rounds {
        let one = kill_a_holder(seed);
        told += one.map_err(|error| format!("COMMON_TORTURE_SEED={seed}: {error:?}"))?;
    }
    println!("{told} of {rounds} were killed in the midst of a change");
    // Nearly all the time is spent in one.
    assert!(told > 0 || rounds < 20);
    Ok(())
}

/// Between two changes all numbers are equal, and all letters; 1 if the child died in one.
fn kill_a_holder(seed: u64) -> Result<u32, Failed> {
    fn child((numbers, letters, parent): (Value<[u64; 32]>, Array<char>, Signal)) {
        for turn in 1.. {
            let next = char::from(b'a' + (turn % 26) as u8);
            numbers.update(|numbers| numbers.iter_mut().for_each(|number| *number = turn));
            letters.lock().iter_mut().for_each(|letter| *letter = next);
            if turn == 1 {
                parent.send(&()).expect("the parent is there");
            }
        }
    }
    let mut dice = Dice(seed);
    let (numbers, letters) = (Value::new([0; 32])?, Array::from_slice(&['a'; 500])?);
    let (ours, theirs) = pipe()?;
    let argument = (numbers.clone(), letters.clone(), theirs);
    let method = [StartMethod::Fork, StartMethod::ForkServer][dice.below(2) as usize];
    let child = Process::new(child, argument).daemon().start_method(method).start()?;
    ours.recv()?;
    sleep(Duration::from_micros(dice.below(2000)));
    child.kill()?;
    // A lock of the dead is given on at once, not when somebody has joined it.
    let guard = numbers.lock_timeout(LONG).ok_or("the dead keeps the value")?;
    let letters = letters.lock_timeout(LONG).ok_or("the dead keeps the array")?;
    let first = (guard[0], letters[0]);
    let equal = guard.iter().all(|number| *number == first.0);
    assert!(equal || guard.previous_holder_died(), "{guard:?}");
    let equal = letters.iter().all(|letter| *letter == first.1);
    assert!(equal || letters.previous_holder_died(), "{letters:?}");
    assert!(letters.iter().all(|letter| letter.is_ascii_lowercase()));
    child.join()?;
    Ok((guard.previous_holder_died() || letters.previous_holder_died()).into())
}
