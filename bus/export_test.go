package bus

// SubscribeLimited is Subscribe with pending limits that a test can reach.
var SubscribeLimited = subscribe

// Redact is redact.
var Redact = redact
