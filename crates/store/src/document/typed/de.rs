//! Deserializes a value from an attribute, and keeps what the value does not know.

use std::{
    collections::{BTreeMap, btree_map},
    fmt::Display,
    vec,
};

use serde::{
    Deserializer,
    de::{
        self, DeserializeSeed, EnumAccess, Error as _, Expected, MapAccess, SeqAccess, Unexpected,
        VariantAccess, Visitor, value::StringDeserializer,
    },
    forward_to_deserialize_any,
};

use super::{
    super::{Attribute, DocumentError, Number},
    Kept,
    markers::{NUMBER, SET},
    mismatch,
};

type Result<T> = std::result::Result<T, DocumentError>;

/// Messages contain no values, because they may be secret.
impl de::Error for DocumentError {
    fn custom<T: Display>(what: T) -> Self {
        mismatch(what.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        mismatch(format!("{} where {expected} is needed", kind(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        mismatch(format!("{} that is no {expected}", kind(found)))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        mismatch(format!("none of {}", expected.join(", ")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        mismatch(format!("an unknown attribute; known: {}", expected.join(", "))).under(field)
    }

    fn missing_field(field: &'static str) -> Self {
        mismatch("it is missing").under(field)
    }
}

fn kind(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(_) => "a boolean".to_owned(),
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number".to_owned(),
        Unexpected::Char(_) | Unexpected::Str(_) => "text".to_owned(),
        Unexpected::Bytes(_) => "bytes".to_owned(),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        other => other.to_string(),
    }
}

/// An attribute to be read.
pub(super) struct Value<'a> {
    attribute: Attribute,
    /// Receives what is not known of it.
    kept: &'a mut Option<Kept>,
    /// Whether it is a struct's field: the struct leaves a `None` out, so a null that was there is kept.
    is_field: bool,
}

impl<'a> Value<'a> {
    pub(super) const fn new(attribute: Attribute, kept: &'a mut Option<Kept>) -> Self {
        Self { attribute, kept, is_field: false }
    }

    fn fields<'de, V: Visitor<'de>>(self, of_struct: bool, visitor: V) -> Result<V::Value> {
        let Attribute::M(attributes) = self.attribute else { return self.deserialize_any(visitor) };
        let (mut kept, attributes) = (BTreeMap::new(), attributes.into_iter());
        let value = visitor.visit_map(Attributes { attributes, next: None, kept: &mut kept, of_struct })?;
        if !kept.is_empty() {
            *self.kept = Some(Kept::Within(kept));
        }
        Ok(value)
    }
}

/// Refuses a number whose digits the float does not keep.
macro_rules! float {
    ($method:ident, $visit:ident, $kind:ty) => {
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            let Attribute::N(number) = self.attribute else { return self.deserialize_any(visitor) };
            let float: $kind = number.as_str().parse().map_err(DocumentError::custom)?;
            if float.to_string().parse() != Ok(number) {
                let kind = stringify!($kind);
                return Err(mismatch(format!("a number with more digits than {kind} keeps: use Number")));
            }
            visitor.$visit(float)
        }
    };
}

macro_rules! big {
    ($method:ident, $visit:ident, $kind:ty) => {
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            match &self.attribute {
                Attribute::N(number) => match number.as_str().parse::<$kind>() {
                    Ok(whole) => visitor.$visit(whole),
                    Err(_) => Err(mismatch(concat!("a number that is no ", stringify!($kind)))),
                },
                _ => self.deserialize_any(visitor),
            }
        }
    };
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = DocumentError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.attribute {
            Attribute::S(it) => visitor.visit_string(it),
            Attribute::N(number) => {
                let text = number.as_str();
                if let Ok(whole) = text.parse() {
                    visitor.visit_i64(whole)
                } else if let Ok(whole) = text.parse() {
                    visitor.visit_u64(whole)
                } else {
                    Value { attribute: Attribute::N(number), ..self }.deserialize_f64(visitor)
                }
            }
            Attribute::B(it) => visitor.visit_byte_buf(it),
            Attribute::Bool(it) => visitor.visit_bool(it),
            Attribute::Null => visitor.visit_unit(),
            Attribute::L(elements) => {
                visitor.visit_seq(Elements { elements: elements.into_iter(), index: 0 })
            }
            Attribute::M(_) => self.fields(false, visitor),
            // Read as a list it would be written as one.
            Attribute::Ss(_) | Attribute::Ns(_) | Attribute::Bs(_) => Err(mismatch(format!(
                "{}: mark the field with #[serde(with = \"..::document::set\")]",
                self.attribute.kind()
            ))),
        }
    }

    float!(deserialize_f32, visit_f32, f32);
    float!(deserialize_f64, visit_f64, f64);
    big!(deserialize_i128, visit_i128, i128);
    big!(deserialize_u128, visit_u128, u128);

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.attribute != Attribute::Null {
            return visitor.visit_some(self);
        }
        if self.is_field {
            *self.kept = Some(Kept::Whole(Attribute::Null));
        }
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        let elements: Vec<_> = match (name, self.attribute) {
            (NUMBER, Attribute::N(number)) => {
                let text = number.as_str().to_owned();
                return visitor.visit_newtype_struct(StringDeserializer::new(text));
            }
            (SET, Attribute::Ss(them)) => them.into_iter().map(Attribute::S).collect(),
            (SET, Attribute::Ns(them)) => them.into_iter().map(Attribute::N).collect(),
            (SET, Attribute::Bs(them)) => them.into_iter().map(Attribute::B).collect(),
            (NUMBER, other) => return Err(mismatch(format!("{} where a number is needed", other.kind()))),
            (SET, other) => return Err(mismatch(format!("{} where a set is needed", other.kind()))),
            (_, attribute) => return visitor.visit_newtype_struct(Value { attribute, ..self }),
        };
        visitor.visit_newtype_struct(Value { attribute: Attribute::L(elements), ..self })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.fields(true, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.attribute {
            Attribute::S(name) => visitor.visit_enum(Variant { name, content: None }),
            Attribute::M(mut attributes) => match (attributes.pop_first(), attributes.len()) {
                (Some((name, content)), 0) => visitor.visit_enum(Variant { name, content: Some(content) }),
                _ => Err(mismatch("a map where one variant is needed")),
            },
            other => Err(mismatch(format!("{} where a variant is needed", other.kind()))),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        *self.kept = Some(Kept::Whole(self.attribute));
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

struct Elements {
    elements: vec::IntoIter<Attribute>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Elements {
    type Error = DocumentError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(attribute) = self.elements.next() else { return Ok(None) };
        let value = seed.deserialize(Value::new(attribute, &mut None));
        let value = value.map_err(|error| error.at(self.index))?;
        self.index += 1;
        Ok(Some(value))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.elements.len())
    }
}

struct Attributes<'a> {
    attributes: btree_map::IntoIter<String, Attribute>,
    /// The attribute of the key that was read last.
    next: Option<(String, Attribute)>,
    kept: &'a mut BTreeMap<String, Kept>,
    of_struct: bool,
}

impl<'de> MapAccess<'de> for Attributes<'_> {
    type Error = DocumentError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        self.next = self.attributes.next();
        match &self.next {
            Some((name, _)) => seed.deserialize(Key(name)).map(Some).map_err(|error| error.under(name)),
            None => Ok(None),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        let (name, attribute) = self.next.take().expect("serde asks for a value after its key");
        let mut kept = None;
        let value = Value { attribute, kept: &mut kept, is_field: self.of_struct };
        let value = seed.deserialize(value).map_err(|error| error.under(&name))?;
        if let Some(kept) = kept {
            self.kept.insert(name, kept);
        }
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.attributes.len())
    }
}

/// The name of an attribute, as the key of a map: a text, or the text of a number.
struct Key<'a>(&'a str);

macro_rules! number_keys {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            match self.0.parse::<Number>() {
                Ok(number) => Value::new(Attribute::N(number), &mut None).$method(visitor),
                Err(_) => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'_> {
    type Error = DocumentError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_str(self.0)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        Value::new(Attribute::S(self.0.to_owned()), &mut None).deserialize_enum(name, variants, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    number_keys! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

struct Variant {
    name: String,
    content: Option<Attribute>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = DocumentError;
    type Variant = Content;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Content)> {
        let name = seed.deserialize(StringDeserializer::<DocumentError>::new(self.name))?;
        Ok((name, Content(self.content)))
    }
}

/// The content of an enum's variant, if it has one.
struct Content(Option<Attribute>);

impl Content {
    fn read<T>(self, read: impl FnOnce(Value<'_>) -> Result<T>) -> Result<T> {
        let attribute = self.0.ok_or_else(|| mismatch("a variant without its content"))?;
        read(Value::new(attribute, &mut None))
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = DocumentError;

    fn unit_variant(self) -> Result<()> {
        match self.0 {
            None => Ok(()),
            Some(_) => Err(mismatch("a variant with content that it does not have")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        self.read(|value| seed.deserialize(value))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.read(|value| value.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.read(|value| value.deserialize_struct("", fields, visitor))
    }
}
