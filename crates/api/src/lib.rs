//! HTTP handlers, thin; auth extractors; OpenAPI from the router.
