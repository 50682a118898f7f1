use super::*;
use crate::testing::{leaves, naive_root};

/// Entries and roots of the tree that the reference implementation of RFC 6962 is tested with
/// (google/certificate-transparency, merkletree/merkle_tree_test.cc).
const ENTRIES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn reference_vectors() {
    let mut frontier = Frontier::new();
    assert_eq!(hex::encode(frontier.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (entry, root) in ENTRIES.iter().zip(ROOTS) {
        frontier.push(leaf_hash(&hex::decode(entry).unwrap()));
        assert_eq!(hex::encode(frontier.root()), root);
    }
}

#[test]
fn roots_equal_the_naive_tree_and_a_second_implementation() {
    let leaves = leaves(300);
    let mut frontier = Frontier::new();
    let mut other = ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    for size in 0..=300 {
        assert_eq!(frontier.root(), naive_root(&leaves[..size]), "size {size}");
        assert_eq!(frontier.root().as_slice(), other.root().as_bytes().as_slice(), "size {size}");
        let again = Frontier::from_peaks(frontier.size(), frontier.peaks().to_vec()).unwrap();
        assert_eq!(again, frontier);
        if size < 300 {
            other.push(crate::testing::entry_bytes(size));
            frontier.push(leaves[size]);
        }
    }
}

#[test]
fn peaks_that_do_not_fit_are_refused() {
    assert!(Frontier::from_peaks(3, vec![[0; 32]]).is_none());
    assert!(Frontier::from_peaks(0, Vec::new()).is_some());
}

#[test]
fn decimals_have_one_form() {
    assert_eq!(parse_decimal("0"), Some(0));
    assert_eq!(parse_decimal("18446744073709551615"), Some(u64::MAX));
    for bad in ["", "00", "01", "+1", "-1", " 1", "1 ", "1e3", "18446744073709551616", "\u{661}"] {
        assert_eq!(parse_decimal(bad), None, "{bad}");
    }
}
