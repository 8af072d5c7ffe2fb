//! A set in a manager (in Python: the `set` of a `SyncManager`, from 3.14 on).

use super::error::ManagerError;
use super::frame::Write as _;
use super::message::Failure;
use super::object::{Call, Element, Object};
use super::proxy::{Reply, proxy_type};
use indexmap::IndexMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Mutex, PoisonError};

proxy_type! {
    /// A set that lives in a manager, and is used through this proxy (in Python: `SetProxy`).
    ///
    /// Two items are the same if they are encoded the same. They stand in the order in which they came in.
    ///
    /// ```
    /// # common::init();
    /// let manager = common::Manager::new()?;
    /// let set = manager.set([1, 2, 3])?;
    /// assert!(!set.insert(&2)? && set.insert(&4)?);
    /// assert_eq!(set.intersection(&[4, 3, 9])?, [3, 4]);
    /// set.difference_update(&[1, 2])?;
    /// assert_eq!(set.to_vec()?, [3, 4]);
    /// # common::Result::Ok(())
    /// ```
    SetProxy<T> "set"
}

impl<T: Serialize + DeserializeOwned> SetProxy<T> {
    fn ask<R>(
        &self,
        method: &str,
        items: &[T],
        read: impl FnOnce(&mut Reply<'_>) -> Result<R, ManagerError>,
    ) -> Result<R, ManagerError> {
        self.remote.call(method, |to| to.values(items).map(drop), read)
    }

    fn ask_one(&self, method: &str, item: &T) -> Result<bool, ManagerError> {
        self.remote.call(method, |to| to.value(item).map(drop), |reply| reply.truth())
    }

    /// Adds an item; whether it was not there (in Python: `add`).
    ///
    /// # Errors
    ///
    /// See [`ManagerError`], here and below.
    #[doc(alias = "add")]
    pub fn insert(&self, item: &T) -> Result<bool, ManagerError> {
        self.ask_one("insert", item)
    }

    /// Takes an item out; whether it was there (in Python: `discard`, and `remove`, which fails where it was
    /// not).
    #[doc(alias = "discard")]
    pub fn remove(&self, item: &T) -> Result<bool, ManagerError> {
        self.ask_one("remove", item)
    }

    /// Takes the item out that came last, if there is any.
    pub fn pop(&self) -> Result<Option<T>, ManagerError> {
        self.ask("pop", &[], |reply| reply.option())
    }

    /// Whether the item is there (in Python: `in`).
    pub fn contains(&self, item: &T) -> Result<bool, ManagerError> {
        self.ask_one("contains", item)
    }

    /// How many items there are.
    #[doc(alias = "__len__")]
    pub fn len(&self) -> Result<usize, ManagerError> {
        self.ask("len", &[], |reply| Ok(reply.number()? as usize))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool, ManagerError> {
        Ok(self.len()? == 0)
    }

    /// Takes all items out.
    pub fn clear(&self) -> Result<(), ManagerError> {
        self.remote.tell("clear")
    }

    /// A copy of all items, as they are at one moment (in Python: `copy`, `_getvalue`).
    #[doc(alias = "copy")]
    pub fn to_vec(&self) -> Result<Vec<T>, ManagerError> {
        self.union(&[])
    }

    /// The items that are there, and then those of `others` that are not (in Python: `union`, `|`).
    pub fn union(&self, others: &[T]) -> Result<Vec<T>, ManagerError> {
        self.ask("union", others, |reply| reply.values())
    }

    /// The items that are there and among `others` (in Python: `intersection`, `&`).
    pub fn intersection(&self, others: &[T]) -> Result<Vec<T>, ManagerError> {
        self.ask("intersection", others, |reply| reply.values())
    }

    /// The items that are there and not among `others` (in Python: `difference`, `-`).
    pub fn difference(&self, others: &[T]) -> Result<Vec<T>, ManagerError> {
        self.ask("difference", others, |reply| reply.values())
    }

    /// The items that are either there or among `others` (in Python: `symmetric_difference`, `^`).
    pub fn symmetric_difference(&self, others: &[T]) -> Result<Vec<T>, ManagerError> {
        self.ask("symmetric_difference", others, |reply| reply.values())
    }

    /// Adds `others` (in Python: `update`, `|=`).
    #[doc(alias = "update")]
    pub fn extend(&self, others: &[T]) -> Result<(), ManagerError> {
        self.ask("union_update", others, |_| Ok(()))
    }

    /// Keeps what is among `others` (in Python: `&=` as well).
    pub fn intersection_update(&self, others: &[T]) -> Result<(), ManagerError> {
        self.ask("intersection_update", others, |_| Ok(()))
    }

    /// Takes `others` out (in Python: `-=` as well).
    pub fn difference_update(&self, others: &[T]) -> Result<(), ManagerError> {
        self.ask("difference_update", others, |_| Ok(()))
    }

    /// Takes those of `others` out that are there, and adds the rest (in Python: `^=` as well).
    pub fn symmetric_difference_update(&self, others: &[T]) -> Result<(), ManagerError> {
        self.ask("symmetric_difference_update", others, |_| Ok(()))
    }

    /// Whether none of `others` is there.
    pub fn is_disjoint(&self, others: &[T]) -> Result<bool, ManagerError> {
        self.ask("is_disjoint", others, |reply| reply.truth())
    }

    /// Whether all items are among `others` (in Python: `issubset`, `<=`).
    #[doc(alias = "issubset")]
    pub fn is_subset(&self, others: &[T]) -> Result<bool, ManagerError> {
        self.ask("is_subset", others, |reply| reply.truth())
    }

    /// Whether all of `others` are there (in Python: `issuperset`, `>=`).
    #[doc(alias = "issuperset")]
    pub fn is_superset(&self, others: &[T]) -> Result<bool, ManagerError> {
        self.ask("is_superset", others, |reply| reply.truth())
    }
}

/// Items by their encodings.
type Items = IndexMap<Box<[u8]>, Element>;

struct Set(Mutex<Items>);

fn collect(elements: Vec<Element>) -> Items {
    let mut items = Items::new();
    for element in elements {
        items.entry(element.bytes.clone()).or_insert(element);
    }
    items
}

/// A set of the items that the call brings.
pub(super) fn create(call: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
    Ok(Box::new(Set(Mutex::new(collect(call.elements()?)))))
}

/// What two sets make together.
fn combine(operation: &str, items: &Items, others: &Items) -> Option<Items> {
    let here = |keep: fn(bool) -> bool| {
        let kept = items.iter().filter(move |(key, _)| keep(others.contains_key(*key)));
        kept.map(|(key, item)| (key.clone(), item.clone()))
    };
    let there = others.iter().filter(|(key, _)| !items.contains_key(*key));
    let there = there.map(|(key, item)| (key.clone(), item.clone()));
    Some(match operation {
        "union" => here(|_| true).chain(there).collect(),
        "intersection" => here(|is_there| is_there).collect(),
        "difference" => here(|is_there| !is_there).collect(),
        "symmetric_difference" => here(|is_there| !is_there).chain(there).collect(),
        _ => return None,
    })
}

impl Object for Set {
    fn kind(&self) -> &str {
        "set"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        let others = collect(call.elements()?);
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Dropped without the lock: it may take other objects along.
        let mut gone = Items::new();
        let first = || others.keys().next().ok_or(Failure::Garbled);
        match call.method {
            "insert" => {
                let is_new = !items.contains_key(first()?);
                items.extend(others.clone());
                call.reply.put_u8(is_new.into());
            }
            "remove" => {
                let removed = items.shift_remove_entry(first()?);
                call.reply.put_u8(removed.is_some().into());
                gone.extend(removed);
            }
            "pop" => {
                let last = items.pop();
                call.give_option(last.as_ref().map(|(_, item)| item));
                gone.extend(last);
            }
            "contains" => call.reply.put_u8(items.contains_key(first()?).into()),
            "len" => call.reply.put_u64(items.len() as u64),
            "clear" => gone = std::mem::take(&mut *items),
            "is_disjoint" => {
                let is_disjoint = others.keys().all(|key| !items.contains_key(key));
                call.reply.put_u8(is_disjoint.into());
            }
            "is_subset" => {
                let is_subset = items.keys().all(|key| others.contains_key(key));
                call.reply.put_u8(is_subset.into());
            }
            "is_superset" => {
                let is_superset = others.keys().all(|key| items.contains_key(key));
                call.reply.put_u8(is_superset.into());
            }
            other => {
                let (operation, is_kept) = match other.strip_suffix("_update") {
                    Some(operation) => (operation, true),
                    None => (other, false),
                };
                let Some(made) = combine(operation, &items, &others) else {
                    return call.unknown("set");
                };
                if is_kept {
                    gone = std::mem::replace(&mut *items, made);
                } else {
                    made.values().for_each(|item| call.give(item));
                }
            }
        }
        drop(items);
        drop(gone);
        Ok(())
    }
}
