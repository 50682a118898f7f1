//! Entries, Merkle tree, checkpoints, proofs, offline verifier.
