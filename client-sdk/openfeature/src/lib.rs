//! Switchover as a provider of [OpenFeature](https://openfeature.dev).
