//! A dictionary in a manager (in Python: the `dict` of a `SyncManager`).

use super::change;
use super::error::ManagerError;
use super::frame::Write as _;
use super::message::Failure;
use super::object::{Call, Element, Object};
use super::proxy::{Arguments, Reply, proxy_type};
use crate::sys::entry;
use indexmap::IndexMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Mutex, MutexGuard, PoisonError};

proxy_type! {
    /// A dictionary that lives in a manager, and is used through this proxy (in Python: `DictProxy`).
    ///
    /// Two keys are the same if they are encoded the same. Entries stand in the order in which their keys came in. Keys
    /// and values are copies, as the elements of a [`ListProxy`](super::ListProxy) are; a value may be a proxy.
    ///
    /// ```
    /// use common::Manager;
    ///
    /// # common::init();
    /// let manager = Manager::new()?;
    /// let dict = manager.dict([("one".to_string(), 1)])?;
    /// assert_eq!(dict.insert(&"two".to_string(), &2)?, None);
    /// assert_eq!(dict.update(&"two".to_string(), |value| value.unwrap_or(0) + 20)?, 22);
    /// assert_eq!(dict.keys()?, ["one", "two"]);
    /// assert_eq!(dict.remove(&"one".to_string())?, Some(1));
    /// # common::Result::Ok(())
    /// ```
    DictProxy<K, V> "dict"
}

impl<K, V> DictProxy<K, V>
where
    K: Serialize + DeserializeOwned,
    V: Serialize + DeserializeOwned,
{
    fn of_key<R>(
        &self,
        method: &str,
        key: &K,
        read: impl FnOnce(&mut Reply<'_>) -> Result<R, ManagerError>,
    ) -> Result<R, ManagerError> {
        self.remote.call(method, |to| to.value(key).map(drop), read)
    }

    /// Sets the value of `key`; the one that it had (in Python: `dict[key] = value`).
    ///
    /// # Errors
    ///
    /// See [`ManagerError`], here and below.
    #[doc(alias = "__setitem__")]
    pub fn insert(&self, key: &K, value: &V) -> Result<Option<V>, ManagerError> {
        let write = |to: &mut Arguments<'_>| to.value(key)?.value(value).map(drop);
        self.remote.call("insert", write, |reply| reply.option())
    }

    /// Sets many values, all at once (in Python: `update`).
    pub fn extend<'a>(
        &self,
        entries: impl IntoIterator<Item = (&'a K, &'a V)>,
    ) -> Result<(), ManagerError>
    where
        K: 'a,
        V: 'a,
    {
        let write = |to: &mut Arguments<'_>| {
            for (key, value) in entries {
                to.value(key)?.value(value)?;
            }
            Ok(())
        };
        self.remote.call("extend", write, |_| Ok(()))
    }

    /// A copy of the value of `key`, if it has one.
    #[doc(alias = "__getitem__")]
    pub fn get(&self, key: &K) -> Result<Option<V>, ManagerError> {
        self.of_key("get", key, |reply| reply.option())
    }

    /// The value of `key`, which is `value` from now on if it had none (in Python: `setdefault`).
    #[doc(alias = "setdefault")]
    pub fn get_or_insert(&self, key: &K, value: &V) -> Result<V, ManagerError> {
        let write = |to: &mut Arguments<'_>| to.value(key)?.value(value).map(drop);
        self.remote.call("get_or_insert", write, |reply| reply.value())
    }

    /// Has the manager set the value of `key` to what `function` makes of the one that it has; nobody changes
    /// the dictionary meanwhile. Gives what it is now.
    ///
    /// The function runs in the manager's process: see [`ListProxy::update`](super::ListProxy::update).
    ///
    /// # Errors
    ///
    /// [`ManagerError::Failed`] where the function panics; the value stays as it is then.
    pub fn update(&self, key: &K, function: fn(Option<V>) -> V) -> Result<V, ManagerError> {
        let write = |to: &mut Arguments<'_>| {
            to.value(key)?
                .function(change::of(change::option::<V>), entry::of_target(function))
                .map(drop)
        };
        self.remote.call("update", write, |reply| reply.value())
    }

    /// Takes a key and its value out; the value (in Python: `pop`, `del`).
    #[doc(alias = "pop")]
    pub fn remove(&self, key: &K) -> Result<Option<V>, ManagerError> {
        self.of_key("remove", key, |reply| reply.option())
    }

    /// Takes the entry out that came last (in Python: `popitem`).
    #[doc(alias = "popitem")]
    pub fn pop_last(&self) -> Result<Option<(K, V)>, ManagerError> {
        let read = |reply: &mut Reply<'_>| {
            let entry = reply.truth()?.then(|| Ok((reply.value()?, reply.value()?)));
            entry.transpose()
        };
        self.remote.call("pop_last", |_| Ok(()), read)
    }

    /// Whether there is such a key (in Python: `in`).
    #[doc(alias = "__contains__")]
    pub fn contains_key(&self, key: &K) -> Result<bool, ManagerError> {
        self.of_key("contains", key, |reply| reply.truth())
    }

    /// How many entries there are.
    #[doc(alias = "__len__")]
    pub fn len(&self) -> Result<usize, ManagerError> {
        self.remote.call("len", |_| Ok(()), |reply| Ok(reply.number()? as usize))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool, ManagerError> {
        Ok(self.len()? == 0)
    }

    /// Copies of all keys, as they are at one moment.
    pub fn keys(&self) -> Result<Vec<K>, ManagerError> {
        self.remote.call("keys", |_| Ok(()), |reply| reply.values())
    }

    /// Copies of all values, as they are at one moment.
    pub fn values(&self) -> Result<Vec<V>, ManagerError> {
        self.remote.call("values", |_| Ok(()), |reply| reply.values())
    }

    /// A copy of the whole dictionary as it is at one moment (in Python: `items`, `copy`, `_getvalue`).
    #[doc(alias = "copy")]
    #[doc(alias = "_getvalue")]
    pub fn items(&self) -> Result<Vec<(K, V)>, ManagerError> {
        let read = |reply: &mut Reply<'_>| {
            let mut items = Vec::new();
            while !reply.is_empty() {
                items.push((reply.value()?, reply.value()?));
            }
            Ok(items)
        };
        self.remote.call("items", |_| Ok(()), read)
    }

    /// The entries, of a copy as it is now (in Python: `iter`, which fails where the dictionary changes
    /// meanwhile).
    pub fn iter(&self) -> Result<impl Iterator<Item = (K, V)> + use<K, V>, ManagerError> {
        Ok(self.items()?.into_iter())
    }

    /// Takes all entries out.
    pub fn clear(&self) -> Result<(), ManagerError> {
        self.remote.tell("clear")
    }
}

/// The dictionary, in the server: values by the encodings of their keys, and the keys.
struct Dict(Mutex<Entries>);

type Entries = IndexMap<Box<[u8]>, (Element, Element)>;

/// An empty dictionary.
pub(super) fn create(_: &mut Call<'_>) -> Result<Box<dyn Object>, Failure> {
    Ok(Box::new(Dict(Mutex::default())))
}

impl Dict {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a key is found by: a proxy in it counts as well.
fn name(key: &Element) -> Box<[u8]> {
    key.bytes.clone()
}

impl Object for Dict {
    fn kind(&self) -> &str {
        "dict"
    }

    fn call(&self, call: &mut Call<'_>) -> Result<(), Failure> {
        // What is taken out is dropped without the lock: it may take other objects along.
        let mut gone = Vec::new();
        let mut dict = self.lock();
        match call.method {
            "insert" => {
                let (key, value) = (call.element()?, call.element()?);
                let before = match dict.get_mut(&name(&key)) {
                    Some((_, held)) => Some(std::mem::replace(held, value)),
                    None => {
                        dict.insert(name(&key), (key, value));
                        None
                    }
                };
                call.give_option(before.as_ref());
                gone.extend(before);
            }
            "extend" => {
                while !call.arguments.0.is_empty() {
                    let (key, value) = (call.element()?, call.element()?);
                    let before = dict.insert(name(&key), (key, value));
                    gone.extend(before.into_iter().flat_map(|(key, value)| [key, value]));
                }
            }
            "get" => {
                let key = call.element()?;
                call.give_option(dict.get(&name(&key)).map(|(_, value)| value));
            }
            "get_or_insert" => {
                let (key, value) = (call.element()?, call.element()?);
                let held = dict.entry(name(&key)).or_insert((key, value));
                call.give(&held.1);
            }
            "update" => {
                let key = call.element()?;
                let changed = call.change(dict.get(&name(&key)).map(|(_, value)| value))?;
                call.give(&changed);
                match dict.get_mut(&name(&key)) {
                    Some((_, held)) => gone.push(std::mem::replace(held, changed)),
                    None => drop(dict.insert(name(&key), (key, changed))),
                }
            }
            "remove" => {
                let key = call.element()?;
                let removed = dict.shift_remove(&name(&key));
                call.give_option(removed.as_ref().map(|(_, value)| value));
                gone.extend(removed.into_iter().flat_map(|(key, value)| [key, value]));
            }
            "pop_last" => {
                let last = dict.pop();
                call.reply.put_u8(last.is_some().into());
                if let Some((_, (key, value))) = last {
                    call.give(&key);
                    call.give(&value);
                    gone.extend([key, value]);
                }
            }
            "contains" => {
                let key = call.element()?;
                call.reply.put_u8(dict.contains_key(&name(&key)).into());
            }
            "len" => call.reply.put_u64(dict.len() as u64),
            "keys" => dict.values().for_each(|(key, _)| call.give(key)),
            "values" => dict.values().for_each(|(_, value)| call.give(value)),
            "items" => {
                for (key, value) in dict.values() {
                    call.give(key);
                    call.give(value);
                }
            }
            "clear" => {
                let all = std::mem::take(&mut *dict);
                gone.extend(all.into_values().flat_map(|(key, value)| [key, value]));
            }
            _ => return call.unknown("dict"),
        }
        drop(dict);
        drop(gone);
        Ok(())
    }
}
