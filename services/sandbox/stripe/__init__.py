"""A Stripe to call over real HTTP: near enough that Stripe's own SDK cannot tell, with books a test can compare."""
