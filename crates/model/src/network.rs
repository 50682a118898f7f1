//! Networks: ranges of addresses, as settings and inventory files write them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, `10.0.0.0/8`; or one.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address is in it. An IPv4 address that is written as an IPv6 one is what it is.
    #[must_use]
    pub fn holds(self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
            IpAddr::V6(address) => address.to_bits(),
        };
        let address = address.to_canonical();
        let same = bits(address) ^ bits(self.address);
        address.is_ipv4() == self.address.is_ipv4() && same.leading_zeros() >= u32::from(self.prefix)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no network: write 10.0.0.0/8, or one address");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), |prefix| prefix.parse().map_err(|_| wrong()))?;
        if prefix > longest { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for Network {
    /// The range as it begins, with the length of its prefix: OpenSSH takes no other spelling.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(u32::from(self.prefix))).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(u32::from(self.prefix))).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        write!(f, "{address}/{}", self.prefix)
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_they_should() {
        let network = |text: &str| text.parse::<Network>();
        assert!(network("10.0.0.0/8").unwrap().holds("10.255.1.1".parse().unwrap()));
        assert!(!network("10.0.0.0/8").unwrap().holds("11.0.0.1".parse().unwrap()));
        assert!(network("192.0.2.7").unwrap().holds("192.0.2.7".parse().unwrap()));
        assert!(!network("192.0.2.7").unwrap().holds("192.0.2.8".parse().unwrap()));
        assert!(network("0.0.0.0/0").unwrap().holds("8.8.8.8".parse().unwrap()));
        assert!(!network("0.0.0.0/0").unwrap().holds("2001:db8::1".parse().unwrap()), "families are not mixed");
        for bad in ["10.0.0.0/33", "10.0.0", "x/8", "10.0.0.0/", "2001:db8::/129"] {
            assert!(network(bad).unwrap_err().contains("10.0.0.0/8"), "{bad}");
        }
    }

    #[test]
    fn a_network_is_written_as_it_begins() {
        let written = |text: &str| text.parse::<Network>().unwrap().to_string();
        assert_eq!(written("10.1.2.3/8"), "10.0.0.0/8");
        assert_eq!(written("192.0.2.7"), "192.0.2.7/32");
        assert_eq!(written("1.2.3.4/0"), "0.0.0.0/0");
        assert_eq!(written("2001:db8:1::5/32"), "2001:db8::/32");
    }
}
