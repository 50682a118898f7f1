//! One binary of whole-product tests, one module per promise.
