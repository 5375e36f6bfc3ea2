mod charter_sandbox;
