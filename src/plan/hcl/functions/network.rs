//! Addresses of networks.

use std::net::IpAddr;

use num_bigint::{BigInt, BigUint};

use super::function::{Arguments, Function, FunctionFailure, number, string};
use crate::plan::hcl::types::Type;
use crate::plan::hcl::value::Value;

pub const FUNCTIONS: &[Function] = &[
    Function::new("cidrhost", &[string("prefix"), number("hostnum")], host),
    Function::new("cidrnetmask", &[string("prefix")], |given| {
        let network = AddressRange::read(given)?;
        Ok(Value::text(network.with(&network.mask()).address()))
    }),
    Function::new("cidrsubnet", &[string("prefix"), number("newbits"), number("netnum")], subnet),
    Function::new("cidrsubnets", &[string("prefix")], subnets).and_more(number("newbits")),
];

/// Addresses that begin with the same bits.
#[derive(Debug, Clone)]
struct AddressRange {
    /// The first of them.
    base: BigUint,
    /// How many bits they have in common.
    prefix: u32,
    /// How many bits an address has: 32 or 128.
    bits: u32,
}

impl AddressRange {
    fn read(given: &Arguments<'_>) -> Result<AddressRange, FunctionFailure> {
        let refused = || FunctionFailure::of(0, format!("\"{}\" is not a network like 10.0.0.0/8", given.text(0)));
        let (address, prefix) = given.text(0).split_once('/').ok_or_else(refused)?;
        // Zeros in front would be taken for base 8 elsewhere.
        let is_plain = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix: u32 = prefix.parse().ok().filter(|_| is_plain).ok_or_else(refused)?;
        let (address, bits) = match address.parse().map_err(|_| refused())? {
            IpAddr::V4(address) => (BigUint::from(u32::from(address)), 32),
            IpAddr::V6(address) => (BigUint::from(u128::from(address)), 128),
        };
        if prefix > bits {
            return Err(refused());
        }
        let mut network = AddressRange { base: address, prefix, bits };
        network.base = &network.base & network.mask();
        Ok(network)
    }

    /// How many addresses there are.
    fn size(&self) -> BigUint {
        BigUint::from(1u8) << (self.bits - self.prefix)
    }

    fn mask(&self) -> BigUint {
        (BigUint::from(1u8) << self.bits) - self.size()
    }

    fn with(&self, base: &BigUint) -> AddressRange {
        AddressRange { base: base.clone(), ..*self }
    }

    fn address(&self) -> String {
        let number = u128::try_from(&self.base).unwrap_or(u128::MAX);
        match self.bits {
            32 => std::net::Ipv4Addr::from(number as u32).to_string(),
            _ => std::net::Ipv6Addr::from(number).to_string(),
        }
    }
}

/// One address of a network; a negative number counts from the end.
fn host(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let network = AddressRange::read(given)?;
    let number = BigInt::from(given.integer(1)?);
    let size = BigInt::from(network.size());
    let place = if number < BigInt::ZERO { &number + &size } else { number.clone() };
    match BigUint::try_from(&place) {
        Ok(place) if place < network.size() => Ok(Value::text(network.with(&(&network.base + place)).address())),
        _ => Err(FunctionFailure::of(1, format!("{} has no address {number}", given.text(0)))),
    }
}

fn subnet(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let network = AddressRange::read(given)?;
    let (more, number) = (given.integer(1)?, given.integer(2)?);
    let prefix = longer(&network, more, 1)?;
    let number = BigUint::try_from(number).map_err(|_| FunctionFailure::of(2, "it must not be negative"))?;
    if number.bits() > u64::from(prefix - network.prefix) {
        return Err(FunctionFailure::of(2, format!("{more} bits have no network {number}")));
    }
    let base = &network.base + (number << (network.bits - prefix));
    let within = AddressRange { base, prefix, ..network };
    Ok(Value::text(format!("{}/{prefix}", within.address())))
}

/// Networks of these sizes one behind the other.
fn subnets(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let network = AddressRange::read(given)?;
    let mut texts = Vec::new();
    let mut next = network.base.clone();
    let end = &network.base + network.size();
    for place in 1..given.values.len() {
        let prefix = match longer(&network, given.integer(place)?, place)? {
            prefix if prefix == network.prefix => return Err(FunctionFailure::of(place, "it must be at least 1")),
            prefix => prefix,
        };
        let mut within = AddressRange { base: next, prefix, ..network };
        let size = within.size();
        // Each begins at a multiple of its size.
        within.base = (&within.base + &size - 1u8) / &size * &size;
        next = &within.base + size;
        if next > end {
            return Err(FunctionFailure::of(place, format!("there is no room for it in {}", given.text(0))));
        }
        texts.push(Value::text(format!("{}/{prefix}", within.address())));
    }
    Ok(Value::list(Type::String, texts))
}

/// The prefix with so many bits more.
fn longer(network: &AddressRange, more: i64, place: usize) -> Result<u32, FunctionFailure> {
    let prefix = u32::try_from(more).ok().and_then(|more| network.prefix.checked_add(more));
    prefix.filter(|prefix| *prefix <= network.bits).ok_or_else(|| {
        let room = network.bits - network.prefix;
        FunctionFailure::of(place, format!("it must be from 0 to {room}, and is {more}"))
    })
}
