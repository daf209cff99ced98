//! The tape as a JSON representation of the `jsonschema` crate, so that the validator walks it
//! in place. What it looks at is charged (`budget`), and what would build values doesn't.

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::{self, Array, Json, JsonNumber, NodeIdentity, Object};
use serde_json::{Map, Value};
use tapline_pipe::json::string::unescape;

use super::{Entry, same};
use crate::budget::{self, Steps};

/// A filled tape and the text under it.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(super) text: &'a str,
    pub(super) entries: &'a [Entry],
    /// Steps that are left. Here and not in the thread's account: each look takes from it.
    pub(crate) steps: Steps,
}

impl<'a> Document<'a> {
    /// The record's value.
    pub(crate) fn root(&'a self) -> Node<'a> {
        Node {
            document: self,
            index: 0,
        }
    }

    /// How long the longest pointer to a value is at most, in bytes (without escapes).
    pub(crate) fn longest_pointer(&self) -> usize {
        let mut longest = 0;
        // Containers that are open: where each ends, and the length of the pointer to it.
        let mut open: Vec<(u32, usize)> = Vec::new();
        let mut name = 0;
        for (index, entry) in (0..).zip(self.entries) {
            while open.last().is_some_and(|(end, _)| *end <= index) {
                open.pop();
            }
            let outer = open.last().map_or(0, |(_, length)| *length);
            match entry {
                // Of a member its name, which comes just before.
                Entry::Array { next, .. } | Entry::Object { next, .. } => {
                    let length = outer + name + MAX_INDEX;
                    open.push((*next, length));
                    longest = longest.max(length);
                    name = 0;
                }
                Entry::String { start, end, .. } => {
                    name = (end - start) as usize;
                    longest = longest.max(outer + name + 1);
                }
                _ => name = 0,
            }
        }
        longest
    }

    /// The record's text.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    fn entry(&self, index: u32) -> Entry {
        self.entries[index as usize]
    }

    /// The index after the value at `index`.
    fn after(&self, index: u32) -> u32 {
        match self.entry(index) {
            Entry::Array { next, .. } | Entry::Object { next, .. } => next,
            _ => index + 1,
        }
    }

    /// Whether the member's name at `index` is this one; `None` if the member is hidden.
    #[inline]
    fn is_name(&self, index: u32, name: &str) -> Option<bool> {
        match self.entry(index) {
            Entry::String {
                start,
                end,
                escaped,
            } => {
                let contents = &self.text[start as usize..end as usize];
                Some(if escaped {
                    unescaped(contents) == name
                } else {
                    contents == name
                })
            }
            _ => None,
        }
    }

    /// The text of the string or name at `index`; `None` where there is none.
    #[inline]
    fn string(&self, index: u32) -> Option<Cow<'a, str>> {
        match self.entry(index) {
            Entry::String {
                start,
                end,
                escaped,
            } => {
                let contents = &self.text[start as usize..end as usize];
                Some(if escaped {
                    unescaped(contents)
                } else {
                    Cow::Borrowed(contents)
                })
            }
            _ => None,
        }
    }
}

/// A slash and the longest index that a record has.
const MAX_INDEX: usize = 11;

/// The representation.
pub(crate) struct TapeJson;

/// Room for one string entry.
#[derive(Default)]
pub(crate) struct NameBuffer(Option<Entry>);

impl Json for TapeJson {
    type Node<'a> = Node<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = NameBuffer;

    // A lookup walks the members, so one pass over them is never dearer than a few lookups.
    const KEYS_PER_LOOKUP: usize = 4;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>(
        buffer: &mut NameBuffer,
        string: &str,
        f: impl FnOnce(Node<'_>) -> T,
    ) -> T {
        let entry = buffer.0.insert(Entry::String {
            start: 0,
            end: u32::try_from(string.len()).expect("a name is part of a record below 4 GiB"),
            escaped: false,
        });
        let name = Document {
            text: string,
            entries: std::slice::from_ref(entry),
            steps: budget::names(),
        };
        let made = f(name.root());
        budget::keep_names(&name.steps);
        made
    }
}

/// A value on a tape.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    document: &'a Document<'a>,
    index: u32,
}

impl<'a> Node<'a> {
    fn entry(&self) -> Entry {
        self.document.entry(self.index)
    }

    /// The entry, charged: one look of the validator at the value.
    #[inline]
    fn look(&self) -> Entry {
        self.charge(1);
        self.entry()
    }

    #[inline]
    fn charge(&self, steps: u64) {
        self.document.steps.charge(steps);
    }

    /// Charges what an error about this value takes at most: it may list the names of all its members, or all its
    /// elements.
    fn charge_error(self) {
        let text = |node: Node| match node.entry() {
            Entry::String { start, end, .. } => u64::from(end - start),
            _ => 0,
        };
        budget::charge_error(match self.entry() {
            Entry::Array { len, .. } => {
                self.charge(u64::from(len));
                Elements::of(self, len).map(|item| 32 + text(item)).sum()
            }
            Entry::Object { len, .. } => {
                self.charge(u64::from(len));
                Members::of(self, len)
                    .map(|(name, _)| 56 + name.len() as u64)
                    .sum()
            }
            _ => text(self),
        });
    }

    fn at(self, index: u32) -> Node<'a> {
        Node {
            document: self.document,
            index,
        }
    }

    /// The value, built anew.
    pub(crate) fn value(&self) -> Value {
        match self.entry() {
            Entry::Null => Value::Null,
            Entry::Bool(boolean) => Value::Bool(boolean),
            Entry::Unsigned(_) | Entry::Signed(_) | Entry::Float(_) => {
                let number = Number(self.entry());
                Value::Number(number.to_number().into_owned())
            }
            Entry::String { .. } => Value::String(
                json::Node::as_string(self)
                    .expect("the entry is a string")
                    .into_owned(),
            ),
            Entry::Array { len, .. } => {
                Value::Array(Elements::of(*self, len).map(|item| item.value()).collect())
            }
            Entry::Object { len, .. } => Value::Object(
                Members::of(*self, len)
                    .map(|(name, member)| (name.into_owned(), member.value()))
                    .collect::<Map<_, _>>(),
            ),
            Entry::Shadowed => unreachable!("shadowed members are skipped"),
        }
    }
}

impl<'a> json::Node<'a, TapeJson> for Node<'a> {
    type Object = Container<'a>;
    type Array = Container<'a>;
    type Number = Number;

    fn as_object(&self) -> Option<Container<'a>> {
        match self.look() {
            Entry::Object { len, .. } => Some(Container { node: *self, len }),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<Container<'a>> {
        match self.look() {
            Entry::Array { len, .. } => Some(Container { node: *self, len }),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        if let Entry::String {
            start,
            end,
            escaped,
        } = self.look()
        {
            // Who asks for a string goes through it.
            self.charge(u64::from(end - start) >> if escaped { 3 } else { 5 });
        }
        self.document.string(self.index)
    }

    fn as_number(&self) -> Option<Number> {
        match self.look() {
            entry @ (Entry::Unsigned(_) | Entry::Signed(_) | Entry::Float(_)) => {
                Some(Number(entry))
            }
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self.look() {
            Entry::Bool(boolean) => Some(boolean),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        self.look() == Entry::Null
    }

    fn json_type(&self) -> JsonType {
        match self.look() {
            Entry::Null => JsonType::Null,
            Entry::Bool(_) => JsonType::Boolean,
            Entry::Unsigned(_) | Entry::Signed(_) | Entry::Float(_) => JsonType::Number,
            Entry::String { .. } => JsonType::String,
            Entry::Array { .. } => JsonType::Array,
            Entry::Object { .. } => JsonType::Object,
            Entry::Shadowed => unreachable!("shadowed members are skipped"),
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match (self.look(), expected) {
            (Entry::Null, Value::Null) => true,
            (Entry::Bool(ours), Value::Bool(theirs)) => ours == *theirs,
            (Entry::String { .. }, Value::String(theirs)) => {
                self.as_string().is_some_and(|ours| ours == *theirs)
            }
            (
                entry @ (Entry::Unsigned(_) | Entry::Signed(_) | Entry::Float(_)),
                Value::Number(theirs),
            ) => json::cmp::equal_numbers(&Number(entry), theirs),
            (Entry::Array { len, .. }, Value::Array(theirs)) => {
                len as usize == theirs.len()
                    && Elements::of(*self, len)
                        .zip(theirs)
                        .all(|(ours, theirs)| ours.equals_value(theirs))
            }
            (Entry::Object { len, .. }, Value::Object(theirs)) => {
                len as usize == theirs.len()
                    && Members::of(*self, len).all(|(name, ours)| {
                        let theirs = theirs.get(&*name);
                        theirs.is_some_and(|theirs| ours.equals_value(theirs))
                    })
            }
            _ => false,
        }
    }

    /// For an error, which keeps a scalar, but of a container its type alone: a copy of it in each error would be
    /// without measure.
    fn to_value(&self) -> Cow<'a, Value> {
        self.charge_error();
        Cow::Owned(match self.entry() {
            Entry::Array { .. } => Value::Array(Vec::new()),
            Entry::Object { .. } => Value::Object(Map::new()),
            _ => self.value(),
        })
    }

    fn identity(&self) -> Option<NodeIdentity> {
        self.charge(1);
        // The tape's address is the document's own while it is checked, the index the node's.
        Some(NodeIdentity::tagged(
            self.document.entries.as_ptr().addr(),
            self.index,
        ))
    }

    /// Without it, a verdict is not remembered.
    fn container_identity(&self) -> Option<NodeIdentity> {
        let container = matches!(self.entry(), Entry::Array { .. } | Entry::Object { .. });
        (container && budget::may_remember()).then(|| self.identity())?
    }
}

/// An object or array and how many members it has.
#[derive(Clone, Copy)]
pub(crate) struct Container<'a> {
    node: Node<'a>,
    len: u32,
}

impl<'a> Object<'a, TapeJson> for Container<'a> {
    type Node = Node<'a>;
    type MemberName = Cow<'a, str>;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        self.len as usize
    }

    fn get(&self, key: &Box<str>) -> Option<Node<'a>> {
        self.node.charge(u64::from(self.len) / 2);
        let document = self.node.document;
        let mut name = self.node.index + 1;
        let mut left = self.len;
        while left > 0 {
            let value = name + 1;
            match document.is_name(name, key) {
                Some(true) => return Some(self.node.at(value)),
                Some(false) => left -= 1,
                None => {}
            }
            name = document.after(value);
        }
        None
    }

    fn members(&self) -> Members<'a> {
        self.node.charge(u64::from(self.len) / 2);
        Members::of(self.node, self.len)
    }
}

impl<'a> Array<'a, TapeJson> for Container<'a> {
    type Node = Node<'a>;
    type ElementsIter = Elements<'a>;

    fn len(&self) -> usize {
        self.len as usize
    }

    fn elements(&self) -> Elements<'a> {
        self.node.charge(u64::from(self.len) / 2);
        Elements::of(self.node, self.len)
    }

    fn is_unique(&self) -> bool {
        same::is_unique(self.elements())
    }
}

/// The members of an object, in order.
pub(crate) struct Members<'a> {
    at: Node<'a>,
    left: u32,
}

impl<'a> Members<'a> {
    fn of(object: Node<'a>, len: u32) -> Self {
        Members {
            at: object.at(object.index + 1),
            left: len,
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Node<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let document = self.at.document;
        loop {
            // One check of the bounds for both.
            let at = self.at.index as usize;
            let &[name, value] = document.entries.get(at..at + 2)?.as_array()?;
            let node = self.at.at(self.at.index + 1);
            self.at.index = match value {
                Entry::Array { next, .. } | Entry::Object { next, .. } => next,
                _ => node.index + 1,
            };
            if let Entry::String {
                start,
                end,
                escaped,
            } = name
            {
                let contents = &document.text[start as usize..end as usize];
                let name = if escaped {
                    unescaped(contents)
                } else {
                    Cow::Borrowed(contents)
                };
                return Some((name, node));
            }
        }
    }
}

/// Out of the way of what is common.
#[cold]
#[inline(never)]
fn unescaped(contents: &str) -> Cow<'_, str> {
    unescape(contents)
}

/// The elements of an array, in order.
pub(crate) struct Elements<'a> {
    at: Node<'a>,
    left: u32,
}

impl<'a> Elements<'a> {
    fn of(array: Node<'a>, len: u32) -> Self {
        Elements {
            at: array.at(array.index + 1),
            left: len,
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        self.left = self.left.checked_sub(1)?;
        let element = self.at;
        self.at = element.at(element.document.after(element.index));
        Some(element)
    }
}

/// A number's entry, read as `serde_json::Number` would be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(Entry);

impl JsonNumber for Number {
    fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Entry::Unsigned(number) => Some(number),
            _ => None,
        }
    }

    fn as_i64(&self) -> Option<i64> {
        match self.0 {
            Entry::Unsigned(number) => i64::try_from(number).ok(),
            Entry::Signed(number) => Some(number),
            _ => None,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "the contract of as_f64: the nearest double"
    )]
    fn as_f64(&self) -> Option<f64> {
        match self.0 {
            Entry::Unsigned(number) => Some(number as f64),
            Entry::Signed(number) => Some(number as f64),
            Entry::Float(number) => Some(number),
            _ => None,
        }
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_number().to_string())
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        Cow::Owned(match self.0 {
            Entry::Unsigned(number) => number.into(),
            Entry::Signed(number) => number.into(),
            Entry::Float(number) => {
                serde_json::Number::from_f64(number).expect("the parser takes finite numbers only")
            }
            _ => unreachable!("made from a number's entry"),
        })
    }

    fn is_integer(&self) -> bool {
        match self.0 {
            Entry::Float(number) => number.fract() == 0.0,
            _ => true,
        }
    }

    fn is_written_as_integer(&self) -> bool {
        match self.0 {
            // What a double past 2^63 was written as is not to be told: as serde_json's does it.
            Entry::Float(_) => self.to_number().is_written_as_integer(),
            _ => true,
        }
    }
}
