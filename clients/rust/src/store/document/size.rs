//! How many bytes DynamoDB counts, by
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>.
//!
//! Of numbers that page says only about how many. What is counted, by Amazon's own DynamoDB Local and
//! as <https://github.com/paritysuite/dynamodb-conformance> measured in AWS, is [`number`].

use std::collections::BTreeMap;

use super::{Attribute, Document, Number};

impl Document {
    /// Bytes of an item that has these attributes and no other: of their names and values.
    pub fn item_bytes(&self) -> usize {
        attributes(&self.0)
    }
}

fn attributes(them: &BTreeMap<String, Attribute>) -> usize {
    them.iter().map(|(name, it)| name.len() + attribute(it)).sum()
}

fn attribute(it: &Attribute) -> usize {
    // Of a list or a map, and of each thing in it.
    const NESTED: usize = 3;
    const EACH: usize = 1;
    match it {
        Attribute::S(it) => it.len(),
        Attribute::N(it) => number(it),
        Attribute::B(it) => it.len(),
        Attribute::Bool(_) | Attribute::Null => 1,
        Attribute::L(them) => NESTED + them.iter().map(|it| EACH + attribute(it)).sum::<usize>(),
        Attribute::M(them) => NESTED + EACH * them.len() + attributes(them),
        Attribute::Ss(them) => them.iter().map(String::len).sum(),
        Attribute::Ns(them) => them.iter().map(number).sum(),
        Attribute::Bs(them) => them.iter().map(Vec::len).sum(),
    }
}

/// A byte of its size and one for two digits, paired from the point on, without pairs of zeros at
/// either end; a negative number has one more, but none has more than 21.
fn number(number: &Number) -> usize {
    const MOST: usize = 21;
    let (negative, whole, fraction) = number.parts();
    let digits = || whole.bytes().chain(fraction.bytes());
    let is_some = |digit: u8| digit != b'0';
    let (Some(first), Some(last)) = (digits().position(is_some), digits().rev().position(is_some)) else {
        return 1;
    };
    let last = whole.len() + fraction.len() - 1 - last;
    let pair = |digit: usize| (digit + whole.len() % 2) / 2;
    (1 + pair(last) - pair(first) + 1 + usize::from(negative)).min(MOST)
}
