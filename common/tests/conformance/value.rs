//! Values and arrays in shared memory, and the allocator beneath them.

use crate::trial::{Outcome, Trial, each, once};
use bytemuck::{Pod, Zeroable};
use common::connection::{Connection, pipe};
use common::{Array, AtomicValue, Exit, Process, SharedMemory, StartMethod, Value};
use std::fs;
use std::panic;
use std::time::Duration;

pub(crate) fn trials() -> Vec<Trial> {
    [
        each("c134_a_child_writes_values_of_each_kind_and_the_parent_reads_them", value),
        each("c135_the_same_without_a_lock", raw_value),
        once("c136_a_value_has_a_lock_of_its_own_and_an_atomic_one_none", lock_of_a_value),
        each("c137_a_child_doubles_numbers_structs_and_arrays", doubled_without_locks),
        each("c138_a_child_doubles_them_under_their_locks", doubled_under_locks),
        once("c139_a_copy_does_not_follow_the_original", copy),
        each("c140_an_array_by_index_and_slice_is_summed_by_a_child", array),
        once("c141_an_array_of_a_size_is_zero_in_used_memory_too", from_size),
        each("c142_numbers_without_a_lock_are_summed_by_a_child", raw_array),
        once("c143_an_array_has_a_lock_of_its_own_and_a_block_none", lock_of_an_array),
        once("c144_thousands_of_blocks_stay_apart_and_their_memory_comes_back", heap),
        once("edge_a_number_is_cut_off_only_where_that_is_asked_for", overflow),
        once("edge_the_lock_of_a_value_is_not_taken_twice", not_recursive),
        each("edge_to_get_and_to_set_are_two_steps", two_steps),
        once("edge_an_array_of_no_elements_is_one", no_elements),
        once("edge_an_element_that_is_not_there_is_an_error", not_there),
    ]
    .concat()
}

fn value(method: StartMethod) -> Outcome {
    type Values = (Value<i32>, Value<f64>, Value<i16>, Value<i64>, Value<u8>);
    fn child(values: Values) {
        values.0.set(-7);
        values.1.set(-0.125);
        values.2.set(32_000);
        values.3.set(1 << 40);
        values.4.set(b'z');
    }
    let new: fn() -> common::Result<Values> = || {
        let (byte, long) = (Value::new(b'a')?, Value::new(1 << 35)?);
        Ok((Value::new(1234)?, Value::new(2.75)?, Value::new(-99)?, long, byte))
    };
    let (int, double, short, long, byte) = new()?;
    assert_eq!((int.get(), double.get(), short.get()), (1234, 2.75, -99));
    assert_eq!((long.get(), byte.get()), (1 << 35, b'a'));
    let values = (int.clone(), double.clone(), short.clone(), long.clone(), byte.clone());
    let child = Process::new(child, values).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!((int.get(), double.get(), short.get()), (-7, -0.125, 32_000));
    assert_eq!((long.get(), byte.get()), (1 << 40, b'z'));
    Ok(())
}

fn raw_value(method: StartMethod) -> Outcome {
    type Values =
        (AtomicValue<i32>, AtomicValue<f64>, AtomicValue<i16>, AtomicValue<i64>, AtomicValue<u8>);
    fn child(values: Values) {
        values.0.set(-7);
        values.1.set(-0.125);
        values.2.set(32_000);
        values.3.set(1 << 40);
        values.4.set(b'z');
    }
    let (int, double) = (AtomicValue::new(1234)?, AtomicValue::new(2.75)?);
    let (short, long) = (AtomicValue::new(-99)?, AtomicValue::new(1 << 35)?);
    let byte = AtomicValue::new(b'a')?;
    assert_eq!((int.get(), double.get(), short.get()), (1234, 2.75, -99));
    assert_eq!((long.get(), byte.get()), (1 << 35, b'a'));
    let values = (int.clone(), double.clone(), short.clone(), long.clone(), byte.clone());
    let child = Process::new(child, values).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!((int.get(), double.get(), short.get()), (-7, -0.125, 32_000));
    assert_eq!((long.get(), byte.get()), (1 << 40, b'z'));
    Ok(())
}

/// That an atomic value has none is a matter of its type.
fn lock_of_a_value() -> Outcome {
    let (value, other) = (Value::new(5)?, Value::new(6)?);
    let mut guard = value.lock();
    assert_eq!(*guard, 5);
    *guard = 7;
    assert!(value.try_lock().is_none());
    // It is nobody else's.
    assert_eq!(*other.lock(), 6);
    drop(guard);
    assert_eq!(value.try_lock().as_deref(), Some(&7));
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Zeroable, Pod)]
#[repr(C)]
struct Both {
    int: i64,
    double: f64,
}

fn doubled_without_locks(method: StartMethod) -> Outcome {
    type Numbers = (AtomicValue<i32>, AtomicValue<f64>, AtomicValue<i64>);
    fn child(((int, double, long), block): (Numbers, SharedMemory)) -> common::Result<()> {
        int.update(|number| number * 2);
        double.update(|number| number * 2.0);
        long.update(|number| number * 2);
        let both: Both = block.get(0)?;
        block.set(0, Both { int: both.int * 2, double: both.double * 2.0 })?;
        for index in 0..10 {
            block.set(16 + index * 8, block.get::<f64>(16 + index * 8)? * 2.0)?;
        }
        let text = block.to_vec::<u8>(96, 4)?;
        block.copy_in(100, &text)?;
        Ok(())
    }
    let (int, double) = (AtomicValue::new(21)?, AtomicValue::new(1.0 / 3.0)?);
    let long = AtomicValue::new(1i64 << 35)?;
    let block = SharedMemory::create(116)?;
    block.set(0, Both { int: 4, double: 2.5 })?;
    block.copy_in(16, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])?;
    block.copy_in(96, b"tick")?;
    let numbers = (int.clone(), double.clone(), long.clone());
    let argument = (numbers, SharedMemory::open(block.name())?);
    let child = Process::new(child, argument).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!((int.get(), double.get(), long.get()), (42, 2.0 / 3.0, 1 << 36));
    assert_eq!(block.get::<Both>(0)?, Both { int: 8, double: 5.0 });
    let doubles = [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0];
    assert_eq!(block.to_vec::<f64>(16, 10)?, doubles);
    assert_eq!(block.to_vec::<u8>(96, 20)?, *b"ticktick\0\0\0\0\0\0\0\0\0\0\0\0");
    block.unlink()?;
    Ok(())
}

fn doubled_under_locks(method: StartMethod) -> Outcome {
    type Values = (Value<i32>, Value<f64>, Value<i64>, Value<Both>);
    type Arrays = (Array<f64>, Array<u8>);
    fn child(((int, double, long, both), (doubles, text)): (Values, Arrays)) {
        int.update(|number| *number *= 2);
        double.update(|number| *number *= 2.0);
        long.update(|number| *number *= 2);
        both.update(|both| {
            both.int *= 2;
            both.double *= 2.0;
        });
        doubles.lock().iter_mut().for_each(|number| *number *= 2.0);
        text.lock().copy_within(0..4, 4);
    }
    let (int, double, long) = (Value::new(21)?, Value::new(1.0 / 3.0)?, Value::new(1i64 << 35)?);
    let both = Value::new(Both { int: 4, double: 2.5 })?;
    let doubles = Array::from_slice(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])?;
    let text = Array::<u8>::new(20)?;
    text.copy_in(0, b"tick")?;
    let values = (int.clone(), double.clone(), long.clone(), both.clone());
    let argument = (values, (doubles.clone(), text.clone()));
    let child = Process::new(child, argument).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!((int.get(), double.get(), long.get()), (42, 2.0 / 3.0, 1 << 36));
    assert_eq!(both.get(), Both { int: 8, double: 5.0 });
    assert_eq!(doubles.to_vec(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0]);
    assert_eq!(text.to_vec(), b"ticktick\0\0\0\0\0\0\0\0\0\0\0\0");
    Ok(())
}

fn copy() -> Outcome {
    let shared = Value::new(Both { int: 2, double: 0.5 })?;
    let copy = shared.get();
    let apart = Value::new(copy)?;
    shared.update(|both| both.int = 100);
    shared.update(|both| both.double = 100.0);
    assert_eq!(copy, Both { int: 2, double: 0.5 });
    assert_eq!(apart.get(), copy);
    // A clone of the handle is no copy of the value.
    assert_eq!(shared.clone().get(), Both { int: 100, double: 100.0 });
    Ok(())
}

const NUMBERS: [i32; 10] = [31, 41, 59, 26, 53, 58, 97, 93, 23, 84];

/// Adds to each number the sum of those before it.
fn sums(mut numbers: [i32; 10]) -> [i32; 10] {
    for index in 1..numbers.len() {
        numbers[index] += numbers[index - 1];
    }
    numbers
}

fn array(method: StartMethod) -> Outcome {
    fn child(array: Array<i32>) -> common::Result<()> {
        for index in 1..array.len() {
            array.set(index, array.get(index)? + array.get(index - 1)?)?;
        }
        Ok(())
    }
    let array = Array::from_slice(&NUMBERS)?;
    assert_eq!((array.len(), array.get(3)?), (10, 26));
    assert_eq!(array.lock()[2..7], NUMBERS[2..7]);
    let mut some = [0; 5];
    array.copy_out(2, &mut some)?;
    assert_eq!(some, NUMBERS[2..7]);

    let mut numbers = NUMBERS;
    numbers[4..8].copy_from_slice(&[1, 2, 3, 4]);
    array.copy_in(4, &Array::from_slice(&[1, 2, 3, 4])?.to_vec())?;
    assert_eq!(array.to_vec(), numbers);
    let child = Process::new(child, array.clone()).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!(array.to_vec(), sums(numbers));
    Ok(())
}

fn from_size() -> Outcome {
    for round in 0..3 {
        let array = Array::<i32>::new(10)?;
        assert_eq!((array.len(), array.to_vec()), (10, vec![0; 10]), "round {round}");
        let numbers: Vec<i32> = (0..10).collect();
        array.lock().copy_from_slice(&numbers);
        assert_eq!(array.to_vec(), numbers);
    }
    Ok(())
}

fn raw_array(method: StartMethod) -> Outcome {
    fn child(block: SharedMemory) -> common::Result<()> {
        for offset in (4..block.len()).step_by(4) {
            block.set(offset, block.get::<i32>(offset)? + block.get::<i32>(offset - 4)?)?;
        }
        Ok(())
    }
    let block = SharedMemory::create(40)?;
    block.copy_in(0, &NUMBERS)?;
    assert_eq!(block.get::<i32>(3 * 4)?, 26);
    assert_eq!(block.to_vec::<i32>(2 * 4, 5)?, NUMBERS[2..7]);
    let mut numbers = NUMBERS;
    numbers[4..8].copy_from_slice(&[1, 2, 3, 4]);
    block.copy_in(4 * 4, &[1, 2, 3, 4])?;
    let argument = SharedMemory::open(block.name())?;
    let child = Process::new(child, argument).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!(block.to_vec::<i32>(0, 10)?, sums(numbers));
    block.unlink()?;
    Ok(())
}

/// That a block has none is a matter of its type.
fn lock_of_an_array() -> Outcome {
    let array = Array::from_slice(&[1, 2, 3])?;
    let mut guard = array.lock();
    guard[0] = 7;
    // One lock is for all elements.
    assert!(array.try_lock().is_none());
    assert!(array.lock_timeout(Duration::from_millis(1)).is_none());
    drop(guard);
    assert_eq!(array.try_lock().as_deref(), Some(&[7, 2, 3][..]));
    Ok(())
}

/// Numbers that look random, the same each time.
fn numbers() -> impl Iterator<Item = usize> {
    let mut state = 1u64;
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    })
}

/// How many bytes of memory for values this process maps.
fn mapped() -> Result<usize, Box<dyn std::error::Error>> {
    let mut bytes = 0;
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        // Where there is no memfd, files without a name in /dev/shm take its place.
        if line.contains("memfd:arena") || line.contains("/dev/shm/#") {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let (from, to) = range.ok_or("another form of maps")?;
            bytes += usize::from_str_radix(to, 16)? - usize::from_str_radix(from, 16)?;
        }
    }
    Ok(bytes)
}

fn heap() -> Outcome {
    const LIVE: usize = 50;
    let mut numbers = numbers();
    let mut number = || numbers.next().expect("they do not end");
    let (mut blocks, mut made, mut highest) = (Vec::<(Array<u8>, u8)>::new(), 0, 0);
    for round in 0..5000 {
        if blocks.len() == LIVE {
            let (array, byte) = blocks.swap_remove(number() % LIVE);
            assert!(array.lock().iter().all(|found| *found == byte), "blocks overlap");
        }
        // Mostly small, some large, hardly two alike.
        let len = number() % if number().is_multiple_of(10) { 100_000 } else { 3000 };
        let array = Array::<u8>::new(len)?;
        assert!(array.lock().iter().all(|found| *found == 0), "used memory shows");
        let byte = (round % 255 + 1) as u8;
        array.lock().fill(byte);
        blocks.push((array, byte));
        made += len;
        highest = highest.max(mapped()?);
    }
    for (array, byte) in blocks.drain(..) {
        assert!(array.lock().iter().all(|found| *found == byte), "blocks overlap");
    }
    println!("{made} bytes were made, at most {highest} were mapped");
    assert!(mapped()? > 0 && highest < made / 8, "{made} bytes were made, {highest} mapped");
    Ok(())
}

fn overflow() -> Outcome {
    // What does not fit in the type of a value does not compile; a conversion says what it does.
    let small = Value::new(0i8)?;
    assert!(i8::try_from(200).is_err());
    small.set(200u8.cast_signed());
    assert_eq!(small.get(), -56);
    let value = Value::new(i32::MAX)?;
    value.update(|number| *number = number.wrapping_add(1));
    assert_eq!(value.get(), i32::MIN);
    // An addition in one step wraps, as it says.
    let value = AtomicValue::new(0u8)?;
    value.fetch_sub(1);
    assert_eq!(value.get(), 255);
    Ok(())
}

fn not_recursive() -> Outcome {
    let value = Value::new(1)?;
    let other = value.clone();
    let twice = std::thread::spawn(move || {
        let _guard = other.lock();
        // Without a word on standard error.
        panic::set_hook(Box::new(|_| ()));
        other.set(2);
    });
    let error = twice.join().err().ok_or("it was taken twice")?;
    let _ = panic::take_hook();
    let text = error.downcast_ref::<String>().ok_or("another panic")?;
    assert!(text.contains("this thread holds the value already"), "{text}");
    assert_eq!(value.get(), 1);
    Ok(())
}

/// Who adds by reading and writing loses what comes in between.
fn two_steps(method: StartMethod) -> Outcome {
    fn child((value, parent): (Value<u32>, Connection<(), ()>)) -> common::Result<()> {
        parent.recv()?;
        value.update(|number| *number += 1);
        parent.send(&())?;
        Ok(())
    }
    let value = Value::new(0)?;
    let (ours, theirs) = pipe()?;
    let process = Process::new(child, (value.clone(), theirs)).start_method(method);
    let child = process.start()?;
    let seen = value.get();
    ours.send(&())?;
    ours.recv()?;
    assert_eq!(value.get(), 1);
    value.set(seen + 1);
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!(value.get(), 1);
    Ok(())
}

fn no_elements() -> Outcome {
    let array = Array::<f64>::new(0)?;
    assert_eq!((array.len(), array.to_vec()), (0, vec![]));
    assert!(array.is_empty() && array.lock().is_empty());
    assert_eq!(Array::<u8>::from_slice(&[])?.len(), 0);
    Ok(())
}

fn not_there() -> Outcome {
    let array = Array::from_slice(&[1, 2, 3])?;
    let error = array.get(3).err().ok_or("it was read")?;
    assert_eq!((error.index, error.count, error.len), (3, 1, 3));
    assert_eq!(array.set(3, 7), Err(error));
    // A slice of another length changes nothing.
    assert!(array.copy_in(1, &[7, 7, 7]).is_err());
    assert_eq!(array.to_vec(), [1, 2, 3]);
    Ok(())
}
