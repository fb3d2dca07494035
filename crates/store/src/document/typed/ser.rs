//! Serializes a value to an attribute.

use std::collections::{BTreeMap, BTreeSet};

use serde::{
    Serialize, Serializer,
    ser::{
        self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

use super::{
    super::{Attribute, DocumentError, Fault},
    markers::{NUMBER, SET},
    mismatch,
};

type Result<T = Attribute> = std::result::Result<T, DocumentError>;

pub(super) struct ToAttribute;

impl ser::Error for DocumentError {
    fn custom<T: std::fmt::Display>(what: T) -> Self {
        mismatch(what.to_string())
    }
}

/// Elements of a list; `variant`: of the enum that it is the content of.
pub(super) struct List {
    elements: Vec<Attribute>,
    variant: Option<&'static str>,
}

/// Attributes of a map; `variant`: of the enum that it is the content of.
pub(super) struct Map {
    attributes: BTreeMap<String, Attribute>,
    key: Option<String>,
    variant: Option<&'static str>,
}

fn number(text: impl ToString) -> Result {
    Ok(Attribute::N(text.to_string().parse().map_err(Fault::Number)?))
}

fn variant(name: Option<&'static str>, content: Attribute) -> Attribute {
    match name {
        Some(name) => Attribute::M(BTreeMap::from([(name.to_owned(), content)])),
        None => content,
    }
}

macro_rules! numbers {
    ($($method:ident: $kind:ty),*) => {$(
        fn $method(self, it: $kind) -> Result {
            number(it)
        }
    )*};
}

impl Serializer for ToAttribute {
    type Ok = Attribute;
    type Error = DocumentError;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Map;
    type SerializeStruct = Map;
    type SerializeStructVariant = Map;

    numbers!(
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_f32: f32, serialize_f64: f64
    );

    fn serialize_bool(self, it: bool) -> Result {
        Ok(Attribute::Bool(it))
    }

    fn serialize_char(self, it: char) -> Result {
        Ok(Attribute::S(it.into()))
    }

    fn serialize_str(self, it: &str) -> Result {
        Ok(Attribute::S(it.to_owned()))
    }

    fn serialize_bytes(self, it: &[u8]) -> Result {
        Ok(Attribute::B(it.to_owned()))
    }

    fn serialize_none(self) -> Result {
        Ok(Attribute::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, it: &T) -> Result {
        it.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        Ok(Attribute::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result {
        Ok(Attribute::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, it: &T) -> Result {
        match (name, it.serialize(self)?) {
            (NUMBER, Attribute::S(text)) => number(text),
            (SET, Attribute::L(elements)) => set(elements),
            (_, other) => Ok(other),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        it: &T,
    ) -> Result {
        Ok(variant(Some(name), it.serialize(self).map_err(|error| error.under(name))?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List> {
        Ok(List { elements: Vec::new(), variant: None })
    }

    fn serialize_tuple(self, len: usize) -> Result<List> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<List> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List> {
        Ok(List { elements: Vec::new(), variant: Some(variant) })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map> {
        Ok(Map { attributes: BTreeMap::new(), key: None, variant: None })
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Map> {
        self.serialize_map(Some(len))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Map> {
        Ok(Map { attributes: BTreeMap::new(), key: None, variant: Some(variant) })
    }
}

/// A set of the one type that all elements have.
fn set(elements: Vec<Attribute>) -> Result {
    let count = elements.len();
    let (mut texts, mut numbers, mut binaries) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, element) in elements.into_iter().enumerate() {
        let is_new = match element {
            Attribute::S(it) => texts.insert(it),
            Attribute::N(it) => numbers.insert(it),
            Attribute::B(it) => binaries.insert(it),
            other => return Err(mismatch(format!("{} in a set", other.kind())).at(index)),
        };
        if !is_new {
            return Err(DocumentError::from(Fault::Twice).at(index));
        }
    }
    match count {
        0 => Err(Fault::EmptySet.into()),
        _ if texts.len() == count => Ok(Attribute::Ss(texts)),
        _ if numbers.len() == count => Ok(Attribute::Ns(numbers)),
        _ if binaries.len() == count => Ok(Attribute::Bs(binaries)),
        _ => Err(mismatch("a set of different types")),
    }
}

impl List {
    fn push<T: Serialize + ?Sized>(&mut self, it: &T) -> Result<()> {
        let attribute = it.serialize(ToAttribute).map_err(|error| error.at(self.elements.len()))?;
        self.elements.push(attribute);
        Ok(())
    }

    fn done(self) -> Attribute {
        variant(self.variant, Attribute::L(self.elements))
    }
}

macro_rules! list {
    ($($of:ident: $method:ident),*) => {$(
        impl $of for List {
            type Ok = Attribute;
            type Error = DocumentError;

            fn $method<T: Serialize + ?Sized>(&mut self, it: &T) -> Result<()> {
                self.push(it)
            }

            fn end(self) -> Result {
                Ok(self.done())
            }
        }
    )*};
}
list!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);

impl Map {
    fn insert<T: Serialize + ?Sized>(&mut self, name: &str, it: &T, keep_null: bool) -> Result<()> {
        let attribute = it.serialize(ToAttribute).map_err(|error| error.under(name))?;
        if keep_null || attribute != Attribute::Null {
            self.attributes.insert(name.to_owned(), attribute);
        }
        Ok(())
    }

    fn done(self) -> Attribute {
        variant(self.variant, Attribute::M(self.attributes))
    }
}

impl SerializeMap for Map {
    type Ok = Attribute;
    type Error = DocumentError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.key = Some(match key.serialize(ToAttribute)? {
            Attribute::S(text) => text,
            Attribute::N(number) => number.to_string(),
            other => return Err(mismatch(format!("{} where a map's key is needed", other.kind()))),
        });
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, it: &T) -> Result<()> {
        let key = self.key.take().expect("serde gives each value after its key");
        self.insert(&key, it, true)
    }

    fn end(self) -> Result {
        Ok(self.done())
    }
}

macro_rules! fields {
    ($($of:ident),*) => {$(
        impl $of for Map {
            type Ok = Attribute;
            type Error = DocumentError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, it: &T) -> Result<()> {
                self.insert(name, it, false)
            }

            fn end(self) -> Result {
                Ok(self.done())
            }
        }
    )*};
}
fields!(SerializeStruct, SerializeStructVariant);
