//! A list in a manager (in Python: the `list` of a `SyncManager`).

use super::change;
use super::error::ManagerError;
use super::frame::Write as _;
use super::message::Failure;
use super::object::{Call, Element, Object};
use super::proxy::{Arguments, Reply, proxy_type};
use crate::sys::entry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::{Bound, RangeBounds};
use std::sync::{Mutex, MutexGuard, PoisonError};

proxy_type! {
    /// A list that lives in a manager, and is used through this proxy (in Python: `ListProxy`).
    ///
    /// Elements are values: what is got is a copy, and to change it one sets it again. Between the two another
    /// process may have changed it; [`update`](ListProxy::update) does both as one step. An element may be a
    /// proxy, of which every copy refers to the same object.
    ///
    /// ```
    /// use common::Manager;
    ///
    /// # common::init();
    /// let manager = Manager::new()?;
    /// let list = manager.list([3, 1, 2])?;
    /// list.push(&4)?;
    /// list.set(0, &5)?;
    /// assert_eq!(list.to_vec()?, [5, 1, 2, 4]);
    /// assert_eq!(list.update(1, |element| element * 10)?, 10);
    /// assert_eq!(list.pop()?, Some(4));
    /// # common::Result::Ok(())
    /// ```
    ListProxy<T> "list"
}

/// A list that is repeated has at most so many elements then.
const REPEATED: usize = 1 << 24;

impl<T: Serialize + DeserializeOwned> ListProxy<T> {
    /// Adds an element at the end (in Python: `append`).
    ///
    /// # Errors
    ///
    /// See [`ManagerError`], here and below.
    #[doc(alias = "append")]
    pub fn push(&self, element: &T) -> Result<(), ManagerError> {
        self.remote.call("append", |to| to.value(element).map(drop), |_| Ok(()))
    }

    /// Adds elements at the end, all at once.
    pub fn extend<'a>(&self, elements: impl IntoIterator<Item = &'a T>) -> Result<(), ManagerError>
    where
        T: 'a,
    {
        self.remote.call("extend", |to| to.values(elements).map(drop), |_| Ok(()))
    }

    /// Adds an element before the one at `index`, or at the end.
    pub fn insert(&self, index: usize, element: &T) -> Result<(), ManagerError> {
        let write = |to: &mut Arguments<'_>| to.number(index as u64).value(element).map(drop);
        self.remote.call("insert", write, |_| Ok(()))
    }

    /// A copy of the element at `index`; `None` where there is none (in Python: `IndexError`).
    #[doc(alias = "__getitem__")]
    pub fn get(&self, index: usize) -> Result<Option<T>, ManagerError> {
        let write = |to: &mut Arguments<'_>| {
            to.number(index as u64);
            Ok(())
        };
        self.remote.call("get", write, |reply| reply.option())
    }

    /// Replaces the element at `index`.
    ///
    /// # Errors
    ///
    /// [`ManagerError::OutOfRange`] where there is none.
    #[doc(alias = "__setitem__")]
    pub fn set(&self, index: usize, element: &T) -> Result<(), ManagerError> {
        let write = |to: &mut Arguments<'_>| to.number(index as u64).value(element).map(drop);
        self.remote.call("set", write, |_| Ok(()))
    }

    /// Has the manager replace the element at `index` by what `function` makes of it; nobody changes the list
    /// meanwhile. Gives what it is now.
    ///
    /// The function runs in the manager's process, so it must be one of the same program, and captures
    /// nothing; the element holds no proxy.
    ///
    /// # Errors
    ///
    /// [`ManagerError::OutOfRange`] where there is none, [`ManagerError::Failed`] where the function panics;
    /// the element stays as it is then.
    pub fn update(&self, index: usize, function: fn(T) -> T) -> Result<T, ManagerError> {
        self.remote.call(
            "update",
            |to| {
                to.number(index as u64);
                to.function(change::of(change::whole::<T>), entry::of_target(function)).map(drop)
            },
            |reply| reply.value(),
        )
    }

    /// Takes the last element out.
    pub fn pop(&self) -> Result<Option<T>, ManagerError> {
        self.remote.call("pop", |_| Ok(()), |reply| reply.option())
    }

    /// Takes the element at `index` out (in Python: `pop(index)`, `del`).
    ///
    /// # Errors
    ///
    /// [`ManagerError::OutOfRange`] where there is none.
    pub fn remove(&self, index: usize) -> Result<T, ManagerError> {
        let write = |to: &mut Arguments<'_>| {
            to.number(index as u64);
            Ok(())
        };
        self.remote.call("remove", write, |reply| reply.value())
    }

    /// Takes the first element out that is encoded as this one is; whether there was one (in Python:
    /// `remove`).
    pub fn remove_item(&self, element: &T) -> Result<bool, ManagerError> {
        let write = |to: &mut Arguments<'_>| to.value(element).map(drop);
        self.remote.call("remove_item", write, |reply| reply.truth())
    }

    /// Where the first element is that is encoded as this one is (in Python: `index`).
    #[doc(alias = "index")]
    pub fn position(&self, element: &T) -> Result<Option<usize>, ManagerError> {
        let write = |to: &mut Arguments<'_>| to.value(element).map(drop);
        let read = |reply: &mut Reply<'_>| {
            Ok(usize::try_from(reply.number()?).ok().filter(|place| *place != usize::MAX))
        };
        self.remote.call("index", write, read)
    }

    /// How many elements there are that are encoded as this one is.
    pub fn count(&self, element: &T) -> Result<usize, ManagerError> {
        let write = |to: &mut Arguments<'_>| to.value(element).map(drop);
        self.remote.call("count", write, |reply| Ok(reply.number()? as usize))
    }

    /// Whether there is such an element (in Python: `in`).
    pub fn contains(&self, element: &T) -> Result<bool, ManagerError> {
        Ok(self.position(element)?.is_some())
    }

    /// How many elements there are.
    #[doc(alias = "__len__")]
    pub fn len(&self) -> Result<usize, ManagerError> {
        self.remote.call("len", |_| Ok(()), |reply| Ok(reply.number()? as usize))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool, ManagerError> {
        Ok(self.len()? == 0)
    }

    /// Copies of a part of the elements, as they are at one moment; what lies beyond the end is left out (in
    /// Python: a slice).
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>, ManagerError> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => usize::MAX,
        };
        let write = |to: &mut Arguments<'_>| {
            to.number(start as u64).number(end as u64);
            Ok(())
        };
        self.remote.call("slice", write, |reply| reply.values())
    }

    /// A copy of the whole list as it is at one moment (in Python: `copy`, `list[:]`, `_getvalue`).
    #[doc(alias = "copy")]
    #[doc(alias = "_getvalue")]
    pub fn to_vec(&self) -> Result<Vec<T>, ManagerError> {
        self.slice(..)
    }

    /// The elements one by one, each as it is when its turn comes (in Python: `iter`). An error is the last.
    pub fn iter(&self) -> impl Iterator<Item = Result<T, ManagerError>> {
        let mut places = 0..usize::MAX;
        std::iter::from_fn(move || {
            let next = self.get(places.next()?).transpose();
            if !matches!(next, Some(Ok(_))) {
                places = 0..0;
            }
            next
        })
    }

    /// Turns the order round.
    pub fn reverse(&self) -> Result<(), ManagerError> {
        self.remote.tell("reverse")
    }

    /// Takes all elements out.
    pub fn clear(&self) -> Result<(), ManagerError> {
        self.remote.tell("clear")
    }

    /// Repeats the elements so many times, up to 16 Mi of them (in Python: `*=`).
    #[doc(alias = "__imul__")]
    pub fn repeat(&self, times: usize) -> Result<(), ManagerError> {
        let write = |to: &mut Arguments<'_>| {
            to.number(times as u64);
            Ok(())
        };
        self.remote.call("repeat", write, |_| Ok(()))
    }

    /// Has the manager sort the elements, which hold no proxy: see [`update`](ListProxy::update).
    pub fn sort(&self) -> Result<(), ManagerError>
    where
        T: Ord,
    {
        self.sort_by(T::cmp)
    }

    /// The same in the order that `compare` says.
    pub fn sort_by(&self, compare: fn(&T, &T) -> std::cmp::Ordering) -> Result<(), ManagerError> {
        let write = |to: &mut Arguments<'_>| {
            to.function(change::of(change::sorted::<T>), entry::of_pair_target(compare)).map(drop)
        };
        self.remote.call("sort", write, |_| Ok(()))
    }
}

/// The list, in the server.
struct List(Mutex<Vec<Element>>);

/// A list of the elements that the call brings.
pub(super) fn create(call: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
    Ok(Box::new(List(Mutex::new(call.elements()?))))
}

impl List {
    fn lock(&self) -> MutexGuard<'_, Vec<Element>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place that the next argument names; there must be an element.
fn place(call: &mut Call<'_>, list: &[Element]) -> Result<usize, Failure> {
    let (index, len) = (call.arguments.u64()?, list.len() as u64);
    if index < len { Ok(index as usize) } else { Err(Failure::OutOfRange { index, len }) }
}

impl Object for List {
    fn kind(&self) -> &str {
        "list"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        // What is taken out is dropped without the lock: it may take other objects along.
        let mut gone = Vec::new();
        let mut list = self.lock();
        match call.method {
            "append" => list.push(call.element()?),
            "extend" => list.extend(call.elements()?),
            "insert" => {
                let index = call.arguments.u64()?.min(list.len() as u64);
                list.insert(index as usize, call.element()?);
            }
            "get" => {
                let index = usize::try_from(call.arguments.u64()?).unwrap_or(usize::MAX);
                call.give_option(list.get(index));
            }
            "set" => {
                let place = place(call, &list)?;
                gone.push(std::mem::replace(&mut list[place], call.element()?));
            }
            "update" => {
                let place = place(call, &list)?;
                let changed = call.change(Some(&list[place]))?;
                call.give(&changed);
                gone.push(std::mem::replace(&mut list[place], changed));
            }
            "pop" => {
                let last = list.pop();
                call.give_option(last.as_ref());
                gone.extend(last);
            }
            "remove" => {
                let place = place(call, &list)?;
                gone.push(list.remove(place));
                call.give(&gone[0]);
            }
            "remove_item" | "index" | "count" => {
                let wanted = call.element()?;
                let mut places = (0..).zip(list.iter()).filter(|(_, element)| **element == wanted);
                if call.method == "count" {
                    let count = places.count() as u64;
                    call.reply.put_u64(count);
                } else if call.method == "index" {
                    let place = places.next().map_or(u64::MAX, |(place, _)| place);
                    call.reply.put_u64(place);
                } else {
                    let place = places.next().map(|(place, _)| place as usize);
                    gone.extend(place.map(|place| list.remove(place)));
                    call.reply.put_u8(place.is_some().into());
                }
            }
            "len" => call.reply.put_u64(list.len() as u64),
            "slice" => {
                let mut bound = || -> Result<usize, Failure> {
                    Ok(call.arguments.u64()?.min(list.len() as u64) as usize)
                };
                let (start, end) = (bound()?, bound()?);
                for element in list.get(start..end).unwrap_or_default() {
                    call.give(element);
                }
            }
            "reverse" => list.reverse(),
            "clear" => gone = std::mem::take(&mut *list),
            "repeat" => {
                let times = call.arguments.u64()? as usize;
                let (len, once) = (list.len(), list.clone());
                if len.checked_mul(times).is_none_or(|len| len > REPEATED) {
                    return Err(Failure::Failed(format!("{REPEATED} elements are the limit")));
                }
                gone = std::mem::take(&mut *list);
                (0..times).for_each(|_| list.extend(once.iter().cloned()));
            }
            "sort" => {
                if list.iter().any(|element| !element.refers.is_empty()) {
                    return Err(Failure::Failed("proxies have no order".to_string()));
                }
                let values: Vec<&[u8]> = list.iter().map(|element| &*element.bytes).collect();
                let sorted = call.change(Some(&change::packed(&values)))?;
                let element = |bytes: &[u8]| Element { bytes: bytes.into(), refers: Vec::new() };
                *list = change::unpacked(&sorted.bytes)?.into_iter().map(element).collect();
            }
            _ => return call.unknown("list"),
        }
        drop(list);
        drop(gone);
        Ok(())
    }
}
